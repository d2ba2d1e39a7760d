package conf

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// editors are the ways in which programs save a file, each with the names
// that it uses on the way.
var editors = []struct {
	name string
	save func(t *testing.T, path, text string)
}{
	{"in place", func(t *testing.T, path, text string) { put(t, path, text) }},
	{"in pieces", func(t *testing.T, path, text string) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		must(t, err)
		defer f.Close()
		for _, b := range []byte(text) {
			_, err := f.Write([]byte{b})
			must(t, err)
		}
	}},
	{"vim, a copy for backup", func(t *testing.T, path, text string) {
		dir, base := filepath.Split(path)
		put(t, dir+"."+base+".swp", "b0VIM")
		put(t, dir+"4913", "")
		drop(t, dir+"4913")
		put(t, path+"~", "old")
		put(t, path, text)
		drop(t, path+"~")
		drop(t, dir+"."+base+".swp")
	}},
	{"vim, the file for backup", func(t *testing.T, path, text string) {
		must(t, os.Rename(path, path+"~"))
		put(t, path, text)
		must(t, os.Chmod(path, 0o640))
		drop(t, path+"~")
	}},
	{"emacs", func(t *testing.T, path, text string) {
		dir, base := filepath.Split(path)
		link(t, "user@host.1:2", dir+".#"+base)
		put(t, dir+"#"+base+"#", text)
		must(t, os.Rename(path, path+"~"))
		put(t, path, text)
		drop(t, dir+"#"+base+"#")
		drop(t, dir+".#"+base)
	}},
	{"emacs, numbered backups", func(t *testing.T, path, text string) {
		must(t, os.Rename(path, path+".~1~"))
		put(t, path, text)
		drop(t, path+".~1~")
	}},
	{"kate, a hidden file renamed", func(t *testing.T, path, text string) {
		dir, base := filepath.Split(path)
		put(t, dir+"."+base+".XyZ123", text)
		must(t, os.Rename(dir+"."+base+".XyZ123", path))
	}},
	{"sed -i", func(t *testing.T, path, text string) {
		temp := filepath.Join(filepath.Dir(path), "sedAbCdEf")
		put(t, temp, text)
		must(t, os.Rename(temp, path))
	}},
	{"a temporary file with another suffix", func(t *testing.T, path, text string) {
		put(t, path+".tmp", text)
		must(t, os.Rename(path+".tmp", path))
	}},
	{"package manager", func(t *testing.T, path, text string) {
		put(t, path+".dpkg-new", text)
		must(t, os.Link(path, path+".dpkg-tmp"))
		must(t, os.Rename(path+".dpkg-new", path))
		drop(t, path+".dpkg-tmp")
	}},
	{"removed and made anew", func(t *testing.T, path, text string) {
		drop(t, path)
		put(t, path, text)
	}},
	{"linked into place", func(t *testing.T, path, text string) {
		put(t, path+".tmp", text)
		drop(t, path)
		must(t, os.Link(path+".tmp", path))
		drop(t, path+".tmp")
	}},
	{"moved in from elsewhere", func(t *testing.T, path, text string) {
		temp := filepath.Join(filepath.Dir(filepath.Dir(path)), "elsewhere")
		put(t, temp, text)
		must(t, os.Rename(temp, path))
	}},
	{"exchanged with another", func(t *testing.T, path, text string) {
		put(t, path+".tmp", text)
		exchange(t, path+".tmp", path)
		drop(t, path+".tmp")
	}},
}

// However a file is saved, the job gets the new text, and nothing else that
// the editor leaves or uses becomes a job.
func TestEditors(t *testing.T) {
	for _, over := range []bool{false, true} {
		d := open(t, "1", "2")
		d.put("1/other.conf", "other")
		d.put("2/a.conf", "beneath")
		d.put("1/a.conf", "first")
		d.live()
		path := "1/a.conf"
		if over {
			path = "1/a.override"
			d.put(path, "first")
		}
		for i, e := range editors {
			text := fmt.Sprint("text ", i)
			e.save(t, d.path(path), text)
			want := "a = 1/a.conf: " + text
			if over {
				want = "a = 1/a.conf: first + 1/a.override: " + text
			}
			d.until(want, "other = 1/other.conf: other")
			if t.Failed() {
				t.Fatalf("after %s", e.name)
			}
		}
		for name := range d.jobs {
			if name != "a" && name != "other" {
				t.Errorf("%q has become a job", name)
			}
		}
	}
}

// GNU Stow makes links to files, or one link to a whole directory while only
// one package has files in it; a second package makes it unfold that.
func TestStow(t *testing.T) {
	d := open(t, "home/.config/session-init")
	d.put("home/dotfiles/one/.config/session-init/a.conf", "a")
	d.put("home/dotfiles/one/.config/session-init/net/b.conf", "b")
	d.put("home/dotfiles/two/.config/session-init/c.conf", "c")
	d.put("home/dotfiles/two/.config/session-init/net/d.conf", "d")
	d.mkdir("home/.config")
	d.live()

	conf, dot := "home/.config/session-init", "../../dotfiles/"
	d.link("../dotfiles/one/.config/session-init", conf)
	d.until("a = "+conf+"/a.conf: a", "net/b = "+conf+"/net/b.conf: b")
	// Unfolded.
	d.drop(conf)
	d.link(dot+"one/.config/session-init/a.conf", conf+"/a.conf")
	d.link("../"+dot+"one/.config/session-init/net/b.conf", conf+"/net/b.conf")
	d.link(dot+"two/.config/session-init/c.conf", conf+"/c.conf")
	d.link("../"+dot+"two/.config/session-init/net/d.conf", conf+"/net/d.conf")
	all := []string{"a = " + conf + "/a.conf: a", "c = " + conf + "/c.conf: c", "net/b = " + conf + "/net/b.conf: b", "net/d = " + conf + "/net/d.conf: d"}
	d.until(all...)
	// Edited through the link and where it is, in place and by renaming.
	for i, path := range []string{conf + "/c.conf", "home/dotfiles/two/.config/session-init/c.conf"} {
		all[1] = fmt.Sprintf("c = %s/c.conf: %d written", conf, i)
		d.put(path, fmt.Sprint(i, " written"))
		d.until(all...)
	}
	d.swap("home/dotfiles/two/.config/session-init/c.conf", "swapped")
	all[1] = "c = " + conf + "/c.conf: swapped"
	d.until(all...)
	// An editor that renames through the link leaves a file in its place.
	d.swap(conf+"/c.conf", "own")
	all[1] = "c = " + conf + "/c.conf: own"
	d.until(all...)
	// The package taken out, and the directory folded again.
	d.drop(conf)
	d.link("../dotfiles/two/.config/session-init", conf)
	d.until("c = "+conf+"/c.conf: swapped", "net/d = "+conf+"/net/d.conf: d")
	// git checks out another branch.
	d.drop("home/dotfiles/two")
	d.until()
	d.put("home/dotfiles/two/.config/session-init/c.conf", "branch")
	d.until("c = " + conf + "/c.conf: branch")
}

// home-manager and NixOS make links to links to files of a store that nobody
// may write to; a new generation is a new link somewhere on the way.
func TestGenerations(t *testing.T) {
	d := open(t, "home/.config/session-init", "profile/share/session-init/jobs")
	generation := func(hash, text string) (files string) {
		store := "nix/store/" + hash
		d.put(store+"-a.conf", text)
		must(t, os.Chmod(d.path(store+"-a.conf"), 0o444))
		d.link(d.path(store+"-a.conf"), store+"-files/.config/session-init/a.conf")
		d.put(store+"-profile/share/session-init/jobs/b.conf", text)
		for _, dir := range []string{"-files/.config/session-init", "-profile/share/session-init/jobs"} {
			must(t, os.Chmod(d.path(store+dir), 0o555))
			t.Cleanup(func() { _ = os.Chmod(d.path(store+dir), 0o755) })
		}
		return d.path(store + "-files/.config/session-init")
	}
	want := func(text string) []string {
		return []string{"a = home/.config/session-init/a.conf: " + text, "b = profile/share/session-init/jobs/b.conf: " + text}
	}
	one, two := generation("1", "one"), generation("2", "two")
	d.live()
	d.link(one+"/a.conf", "home/.config/session-init/a.conf")
	d.link("profile-1-link", "profile")
	d.link(d.path("nix/store/1-profile"), "profile-1-link")
	d.until(want("one")...)
	d.link(d.path("nix/store/2-profile"), "profile-2-link")
	d.relink("profile-2-link", "profile")
	d.relink(two+"/a.conf", "home/.config/session-init/a.conf")
	d.until(want("two")...)
	// Back, by one link that leads to all.
	d.relink("profile-1-link", "profile")
	d.drop("home/.config/session-init")
	d.link(one, "home/.config/session-init")
	d.until(want("one")...)
	d.relink(two, "home/.config/session-init")
	d.relink("profile-2-link", "profile")
	d.until(want("two")...)
	// Garbage is collected: the links dangle, until it is built again.
	for _, dir := range []string{"files/.config/session-init", "profile/share/session-init/jobs"} {
		must(t, os.Chmod(d.path("nix/store/2-"+dir), 0o755))
		d.drop("nix/store/2-" + strings.SplitN(dir, "/", 2)[0])
	}
	d.drop("nix/store/2-a.conf")
	d.until()
	generation("2", "two again")
	d.until(want("two again")...)
}

// A thousand links into one directory are one watch more, and are followed.
func TestLinkFarm(t *testing.T) {
	const n = 1000
	d := open(t, "farm")
	d.mkdir("farm")
	d.mkdir("store")
	d.live()
	before := len(d.watched())
	for i := range n {
		d.put(fmt.Sprintf("store/%d", i), "x")
		d.link(fmt.Sprintf("../store/%d", i), fmt.Sprintf("farm/j%d.conf", i))
	}
	for len(d.jobs) < n {
		d.take(<-d.batches)
	}
	if got := len(d.watched()) - before; got != 1 {
		t.Errorf("%d directories watched for %d links; want 1", got, n)
	}
	d.put("store/500", "changed")
	eventually(t, "the change", func() bool {
		select {
		case batch := <-d.batches:
			d.take(batch)
		default:
		}
		return d.jobs["j500"] == "farm/j500.conf: changed"
	})
	d.drop("store")
	d.until()
	eventually(t, "the watch to be dropped", func() bool { return len(d.watched()) == before })
}

// What is no regular file is refused when it comes and when it goes on; what
// takes its place is taken.
func TestLiveIrregular(t *testing.T) {
	d := open(t, "1")
	d.put("1/z.conf", "z")
	d.live()
	special := []struct {
		name string
		make func(path string)
	}{
		{"fifo", func(path string) { must(t, syscall.Mkfifo(path, 0o666)) }},
		{"socket", func(path string) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			must(t, err)
			t.Cleanup(func() { _ = l.Close() })
		}},
		{"link to a device", func(path string) { link(t, "/dev/zero", path) }},
		{"link to itself", func(path string) { link(t, filepath.Base(path), path) }},
		{"directory", func(path string) { must(t, os.Mkdir(path, 0o755)) }},
		{"file that is too large", func(path string) {
			put(t, path, strings.Repeat("x", maxFile+1))
		}},
	}
	if os.Geteuid() != 0 {
		special = append(special, special[0])
		special[len(special)-1].name = "file that may not be read"
		special[len(special)-1].make = func(path string) {
			put(t, path, "x")
			must(t, os.Chmod(path, 0))
		}
	}
	for i, s := range special {
		path := fmt.Sprintf("1/a%d.conf", i)
		job := fmt.Sprintf("a%d = %s: ", i, path)
		d.put(path, "good")
		d.until(job+"good", "z = 1/z.conf: z")
		d.put(path+"~", "")
		drop(t, d.path(path))
		s.make(d.path(path))
		d.put("1/z.conf", "behind "+s.name)
		// A file that is there and cannot be had takes nothing away; another
		// thing is no job file.
		eventually(t, s.name+" to be looked at", func() bool {
			select {
			case batch := <-d.batches:
				d.take(batch)
			default:
			}
			_, there := d.jobs[fmt.Sprint("a", i)]
			return d.jobs["z"] == "1/z.conf: behind "+s.name && (!there || d.says(path+": cannot read the job file"))
		})
		d.drop(path)
		d.put(path, "better")
		d.put("1/z.conf", "z")
		d.until(job+"better", "z = 1/z.conf: z")
		d.drop(path)
		d.until("z = 1/z.conf: z")
	}
}
