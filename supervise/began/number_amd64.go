package began

const sysPrlimit64 = 302
