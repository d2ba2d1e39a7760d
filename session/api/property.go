package api

import (
	"fmt"

	"github.com/session-init/session-init/session/wire"
)

// GetAll is the request for all properties of an interface; Properties reads
// its reply.
func GetAll(path, iface string) Request {
	return Request{Path: path, Interface: PropertiesInterface, Member: "GetAll", Args: []any{iface}}
}

// SetProperty is the request that changes a property to a value that says by
// itself what type it is.
func SetProperty(path, iface, name string, value any) Request {
	return Request{Path: path, Interface: PropertiesInterface, Member: "Set", Args: []any{iface, name, wire.MakeVariant(value)}}
}

// Properties returns the properties in the reply to a GetAll.
func (r Reply) Properties() (map[string]any, error) {
	if r.Err != nil {
		return nil, r.Err
	}
	if len(r.Body) == 1 {
		if properties, ok := r.Body[0].(map[string]any); ok {
			return properties, nil
		}
	}
	return nil, fmt.Errorf("cannot read properties: the answer has another type")
}

// InstanceInfo is what an instance says of itself.
type InstanceInfo struct {
	Name, Goal, State string
	Processes         []ProcessInfo // main first
}

// ProcessInfo is a process of an instance: main, pre-start, post-start,
// pre-stop or post-stop.
type ProcessInfo struct {
	Kind string
	Pid  int
}

// Instance reads the reply to a GetAll on an instance.
func (r Reply) Instance() (InstanceInfo, error) {
	properties, err := r.Properties()
	if err != nil {
		return InstanceInfo{}, err
	}
	var info InstanceInfo
	var ok [4]bool
	var processes []any
	info.Name, ok[0] = properties["name"].(string)
	info.Goal, ok[1] = properties["goal"].(string)
	info.State, ok[2] = properties["state"].(string)
	processes, ok[3] = properties["processes"].([]any)
	if ok != [4]bool{true, true, true, true} {
		return InstanceInfo{}, fmt.Errorf("cannot read the instance: a property is missing or of another type")
	}
	info.Processes, err = Processes(processes)
	return info, err
}

// Processes reads a list of kinds and pids.
func Processes(list []any) ([]ProcessInfo, error) {
	var processes []ProcessInfo
	for _, p := range list {
		pair, _ := p.([]any)
		if len(pair) != 2 {
			return nil, fmt.Errorf("cannot read the instance's processes")
		}
		kind, okKind := pair[0].(string)
		pid, okPid := pair[1].(int32)
		if !okKind || !okPid {
			return nil, fmt.Errorf("cannot read the instance's processes")
		}
		processes = append(processes, ProcessInfo{kind, int(pid)})
	}
	return processes, nil
}

// plainList rids the codec's values of its types.
func plainList(body []any) []any {
	out := make([]any, len(body))
	for i, v := range body {
		out[i] = plain(v)
	}
	return out
}

func plain(v any) any {
	switch v := v.(type) {
	case wire.Variant:
		return plain(v.Value)
	case wire.ObjectPath:
		return string(v)
	case wire.Signature:
		return string(v)
	case wire.FD:
		return uint32(v)
	case []wire.ObjectPath:
		out := make([]string, len(v))
		for i, path := range v {
			out[i] = string(path)
		}
		return out
	case map[string]wire.Variant:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = plain(value)
		}
		return out
	case []wire.Entry:
		out := make([]any, len(v))
		for i, entry := range v {
			out[i] = []any{plain(entry.Key), plain(entry.Value)}
		}
		return out
	case []any:
		return plainList(v)
	}
	return v
}
