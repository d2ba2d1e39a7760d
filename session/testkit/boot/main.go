// Command boot starts virtual machines with session-init as their first
// process, and sees what an administrator would see on the serial console: it
// waits for a prompt, logs in, types, and reads.
//
//	go run ./session/testkit/boot [-kvm] [-only NAME] -kernel FILE -images DIR -console DIR
//
// DIR holds file systems of a small Debian: session-init.ext4, and sysvinit.ext4,
// which is the same with Debian's own first process; .ci/qemu makes them. They
// are changed. Everything that a console shows is kept in files of the other
// directory, one for each boot.
//
// What must hold is in boots.go. The processor is emulated unless -kvm says
// otherwise, so times are for comparing boots of one run with each other.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options are what the command line says.
type options struct {
	kvm                     bool
	kernel, images, console string
	only                    string
}

// run is the command. It returns the exit status: 1 when something does not
// hold, 2 when the command line is wrong.
func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("boot", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.kvm, "kvm", false, "use the processor's own virtualisation")
	flags.StringVar(&o.kernel, "kernel", "", "the kernel, with drivers for NVMe and ext4")
	flags.StringVar(&o.images, "images", "", "the directory of the file systems")
	flags.StringVar(&o.console, "console", "", "where to keep what the consoles show")
	flags.StringVar(&o.only, "only", "", "do this boot alone")
	if flags.Parse(args) != nil {
		return 2
	}
	if flags.NArg() > 0 || o.kernel == "" || o.images == "" || o.console == "" {
		fmt.Fprintln(stderr, "boot: -kernel, -images and -console are needed, and nothing else")
		return 2
	}
	var r results
	for _, b := range boots() {
		if o.only != "" && o.only != b.name {
			continue
		}
		fmt.Fprintf(stdout, "-- %s\n", b.about)
		if err := boot(o, b, &r, stdout); err != nil {
			fmt.Fprintf(stderr, "boot: %s: %v\n", b.name, err)
			fmt.Fprintf(stderr, "boot: all that the console showed: %s\n", o.transcript(b.name))
			return 1
		}
	}
	r.tell(stdout)
	if o.kvm {
		return 0
	}
	if err := r.check(); err != nil {
		fmt.Fprintf(stderr, "boot: %v\n", err)
		return 1
	}
	return 0
}

func (o options) transcript(name string) string {
	return filepath.Join(o.console, name+".console")
}

// boot does one boot and what belongs to it, and looks at the file system when
// the machine has ended.
func boot(o options, b bootCase, r *results, stdout io.Writer) (err error) {
	image := filepath.Join(o.images, b.image+".ext4")
	if b.spoil != nil {
		spoilt := filepath.Join(o.images, b.name+".ext4")
		if err := copySparse(image, spoilt); err != nil {
			return err
		}
		image = spoilt
		if err := b.spoil(image); err != nil {
			return err
		}
	}
	m, err := start(o, b.name, image, b.words)
	if err != nil {
		return err
	}
	defer m.close()
	if err := b.do(m, r, stdout); err != nil {
		return fmt.Errorf("%w; the console's last lines:\n%s", err, m.tail())
	}
	if err := m.ended(b.end); err != nil {
		return fmt.Errorf("%w; the console's last lines:\n%s", err, m.tail())
	}
	if b.end == "" {
		return nil
	}
	return checkClean(image)
}
