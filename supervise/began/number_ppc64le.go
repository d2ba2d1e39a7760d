package began

const sysPrlimit64 = 325
