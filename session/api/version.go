package api

// Version is the version of session-init: what the daemon's property
// "version" and the --version of its programs say.
const Version = "0.1.0"
