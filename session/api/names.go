package api

// Names on the bus. They are Upstart's, so that its clients work unchanged.
const (
	ManagerPath = "/com/ubuntu/Upstart"
	JobsPath    = ManagerPath + "/jobs"

	ManagerInterface  = "com.ubuntu.Upstart0_6"
	JobInterface      = ManagerInterface + ".Job"
	InstanceInterface = ManagerInterface + ".Instance"

	// ManagerExtension is what session-init does beyond Upstart.
	ManagerExtension = "org.sessioninit.SessionInit1"
	// JobExtension is what session-init says of a job beyond Upstart.
	JobExtension = "org.sessioninit.SessionInit1.Job"
	// InstanceExtension is the same of an instance.
	InstanceExtension = "org.sessioninit.SessionInit1.Instance"

	// BusName and UpstartBusName are what the daemon is called on a bus.
	BusName        = "org.sessioninit.SessionInit1"
	UpstartBusName = "com.ubuntu.Upstart"

	IntrospectableInterface = "org.freedesktop.DBus.Introspectable"
	PropertiesInterface     = "org.freedesktop.DBus.Properties"
	PeerInterface           = "org.freedesktop.DBus.Peer"
)

// Names of errors: Upstart's own, and the standard ones that we send.
const (
	ErrPrefix = ManagerInterface + ".Error."

	ErrUnknownJob       = ErrPrefix + "UnknownJob"
	ErrUnknownInstance  = ErrPrefix + "UnknownInstance"
	ErrAlreadyStarted   = ErrPrefix + "AlreadyStarted"
	ErrAlreadyStopped   = ErrPrefix + "AlreadyStopped"
	ErrNotRunning       = ErrPrefix + "NotRunning"
	ErrJobFailed        = ErrPrefix + "JobFailed"
	ErrEventFailed      = ErrPrefix + "EventFailed"
	ErrPermissionDenied = ErrPrefix + "PermissionDenied"

	ErrInvalidArgs      = "org.freedesktop.DBus.Error.InvalidArgs"
	ErrUnknownMethod    = "org.freedesktop.DBus.Error.UnknownMethod"
	ErrUnknownObject    = "org.freedesktop.DBus.Error.UnknownObject"
	ErrUnknownInterface = "org.freedesktop.DBus.Error.UnknownInterface"
	ErrUnknownProperty  = "org.freedesktop.DBus.Error.UnknownProperty"
	ErrPropertyReadOnly = "org.freedesktop.DBus.Error.PropertyReadOnly"
	ErrNotSupported     = "org.freedesktop.DBus.Error.NotSupported"
	ErrLimitsExceeded   = "org.freedesktop.DBus.Error.LimitsExceeded"
	ErrFailed           = "org.freedesktop.DBus.Error.Failed"
)

// SessionVariable names the environment variable that holds the address of
// the private socket.
const SessionVariable = "UPSTART_SESSION"

// LoginVariable names the environment variable that holds the number of the
// login session that a process is in.
const LoginVariable = "UPSTART_SESSION_ID"
