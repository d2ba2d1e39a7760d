package job

// resources are the names of Linux's limits; a resource's number is its
// place, as asm-generic/resource.h has it for amd64 and arm64.
var resources = []string{
	"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock",
	"as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime",
}

// ResourceName gives the name of a Limit's resource, "" for none.
func ResourceName(resource int) string {
	if resource < 0 || resource >= len(resources) {
		return ""
	}
	return resources[resource]
}

func parseResource(name string) (resource int, ok bool) {
	for i, have := range resources {
		if have == name {
			return i, true
		}
	}
	return 0, false
}
