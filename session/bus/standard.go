package bus

import (
	"fmt"
	"os"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

func peerInterface() *iface {
	return &iface{
		name: api.PeerInterface,
		methods: []method{
			{"Ping", nil, nil, func(c *call) { c.answer(nil, nil) }},
			{"GetMachineId", nil, []arg{{"machine_uuid", "s"}}, getMachineID},
		},
	}
}

// getMachineID reads the file beside the engine, which must not wait for a disk.
func getMachineID(c *call) {
	c.beside(func() {
		type found struct {
			id  string
			err error
		}
		machine, ok := lookAt(c, "look at the machine's id", func() found {
			id, err := machineID("/etc/machine-id", "/var/lib/dbus/machine-id")
			return found{id, err}
		})
		switch {
		case !ok:
		case machine.err != nil:
			c.answer(nil, failf(api.ErrFailed, "cannot tell the machine's id: %v", machine.err))
		default:
			c.answer([]any{machine.id}, nil)
		}
	})
}

// machineID gives the id of the first of the files that can be read.
func machineID(files ...string) (string, error) {
	var first error
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err == nil {
			id := strings.TrimSpace(string(text))
			if len(id) == 32 && strings.Trim(id, "0123456789abcdef") == "" {
				return id, nil
			}
			err = fmt.Errorf("%s holds no machine id", name)
		}
		if first == nil {
			first = err
		}
	}
	return "", first
}

func introspectableInterface() *iface {
	return &iface{
		name: api.IntrospectableInterface,
		methods: []method{
			{"Introspect", nil, []arg{{"xml_data", "s"}}, func(c *call) {
				c.readObject(func(v engine.View) ([]any, *failure) {
					return []any{nodeXML(c.server.objects[c.object.kind], children(c.object, v))}, nil
				})
			}},
		},
	}
}

// children names the objects right below one.
func children(o object, v engine.View) []string {
	var out []string
	switch o.kind {
	case nodeObject:
		rest := strings.TrimPrefix(api.ManagerPath, strings.TrimSuffix(o.path, "/")+"/")
		next, _, _ := strings.Cut(rest, "/")
		out = append(out, next)
	case managerObject:
		out = append(out, strings.TrimPrefix(api.JobsPath, api.ManagerPath+"/"))
	case jobsObject:
		for _, name := range v.ClassNames() {
			out = append(out, api.EscapeElement(name))
		}
	case jobObject:
		for _, in := range v.Instances(o.job) {
			out = append(out, api.EscapeElement(in.Name))
		}
	}
	return out
}

func propertiesInterface() *iface {
	face := arg{"interface_name", "s"}
	name := arg{"property_name", "s"}
	return &iface{
		name: api.PropertiesInterface,
		methods: []method{
			{"Get", []arg{face, name}, []arg{{"value", "v"}}, getProperty},
			{"GetAll", []arg{face}, []arg{{"properties", "a{sv}"}}, getAllProperties},
			{"Set", []arg{face, name, {"value", "v"}}, nil, setProperty},
		},
		signals: []signal{
			{"PropertiesChanged", []arg{face, {"changed_properties", "a{sv}"}, {"invalidated_properties", "as"}}},
		},
	}
}

func (p *property) value(c *call, v engine.View) wire.Variant {
	return wire.Variant{Signature: p.sig, Value: p.get(c.server, v, c.object)}
}

// face gives the interfaces that a property call is about: that of the name,
// or with no name all of the object's.
func (c *call) faces(name string) ([]*iface, *failure) {
	all := c.server.objects[c.object.kind]
	if name == "" {
		return all, nil
	}
	for i, face := range all {
		if face.name == name {
			return all[i : i+1], nil
		}
	}
	return nil, failf(api.ErrUnknownInterface, "No such interface on %s: %s", c.object.path, name)
}

func (c *call) property(face, name string) (*property, *failure) {
	faces, fail := c.faces(face)
	if fail != nil {
		return nil, fail
	}
	for _, f := range faces {
		for i := range f.properties {
			if f.properties[i].name == name {
				return &f.properties[i], nil
			}
		}
	}
	return nil, failf(api.ErrUnknownProperty, "No such property on %s: %s", c.object.path, name)
}

func getProperty(c *call) {
	c.readObject(func(v engine.View) ([]any, *failure) {
		p, fail := c.property(c.in.Text(0), c.in.Text(1))
		if fail != nil {
			return nil, fail
		}
		return []any{p.value(c, v)}, nil
	})
}

func getAllProperties(c *call) {
	c.readObject(func(v engine.View) ([]any, *failure) {
		faces, fail := c.faces(c.in.Text(0))
		if fail != nil {
			return nil, fail
		}
		c.watchObject(v)
		all := map[string]wire.Variant{}
		for _, face := range faces {
			for i := range face.properties {
				p := &face.properties[i]
				all[p.name] = p.value(c, v)
			}
		}
		return []any{all}, nil
	})
}

func setProperty(c *call) {
	c.sets = true
	c.readObject(func(engine.View) ([]any, *failure) {
		name, sig := c.in.Text(1), c.in.VariantSignature(2)
		p, fail := c.property(c.in.Text(0), name)
		switch {
		case fail != nil:
			return nil, fail
		case p.set == nil:
			return nil, failf(api.ErrPropertyReadOnly, "Property is read-only: %s", name)
		case sig != p.sig:
			return nil, failf(api.ErrInvalidArgs, "cannot set %s: its type is %s, not %s",
				name, p.sig, sig)
		}
		if fail = p.set(c.server, c.in.Value(2).(wire.Variant).Value); fail == nil && c.server.watchers.Load() > 0 {
			// Only the daemon has properties that can be set.
			c.server.changed(subject{}, name)
		}
		return nil, fail
	})
}
