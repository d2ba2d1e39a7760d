package bus

import (
	"fmt"
	"strings"
)

const xmlHead = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
<node>
`

// emitsChanged says how clients learn of another value.
const emitsChanged = "org.freedesktop.DBus.Property.EmitsChangedSignal"

// nodeXML describes an object: its interfaces, and the names of the objects
// right below it. All names are plain words, so nothing needs escaping.
func nodeXML(faces []*iface, children []string) string {
	var out strings.Builder
	out.WriteString(xmlHead)
	for _, face := range faces {
		face.writeXML(&out)
	}
	for _, name := range children {
		fmt.Fprintf(&out, "  <node name=%q/>\n", name)
	}
	out.WriteString("</node>\n")
	return out.String()
}

func (f *iface) writeXML(out *strings.Builder) {
	fmt.Fprintf(out, "  <interface name=%q>\n", f.name)
	for _, m := range f.methods {
		writeMember(out, "method", m.name, append(directed(m.in, "in"), directed(m.out, "out")...))
	}
	for _, s := range f.signals {
		writeMember(out, "signal", s.name, directed(s.args, ""))
	}
	for _, p := range f.properties {
		access := "read"
		if p.set != nil {
			access = "readwrite"
		}
		fmt.Fprintf(out, "    <property name=%q type=%q access=%q", p.name, p.sig, access)
		if value := p.announced.annotation(); value != "" {
			fmt.Fprintf(out, ">\n      <annotation name=%q value=%q/>\n    </property>\n", emitsChanged, value)
		} else {
			out.WriteString("/>\n")
		}
	}
	out.WriteString("  </interface>\n")
}

// directed gives the elements of arguments; those of signals have no
// direction.
func directed(args []arg, direction string) []string {
	var out []string
	for _, a := range args {
		element := fmt.Sprintf("<arg name=%q type=%q", a.name, a.sig)
		if direction != "" {
			element += fmt.Sprintf(" direction=%q", direction)
		}
		out = append(out, element+"/>")
	}
	return out
}

func writeMember(out *strings.Builder, kind, name string, args []string) {
	if len(args) == 0 {
		fmt.Fprintf(out, "    <%s name=%q/>\n", kind, name)
		return
	}
	fmt.Fprintf(out, "    <%s name=%q>\n", kind, name)
	for _, a := range args {
		fmt.Fprintf(out, "      %s\n", a)
	}
	fmt.Fprintf(out, "    </%s>\n", kind)
}
