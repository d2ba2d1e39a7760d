package began

const sysPrlimit64 = 261
