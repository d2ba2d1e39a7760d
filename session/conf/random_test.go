package conf

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Whatever is done to the files, by writing, moving, linking and removing,
// what is followed live comes to be what a new daemon would load. Broken
// files are left out: what they mean depends on what was before.
// What is lost is lost between goroutines, so a seed finds it now and then:
// SOAK has many of them, and a busy machine helps. What they have found is
// certain in TestWatchAlias, TestWatchPassesOn and TestSettled.
func TestLiveEqualsLoad(t *testing.T) {
	seeds := uint64(8)
	if os.Getenv("SOAK") != "" {
		seeds = 400
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { storm(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func storm(t *testing.T, random *rand.Rand) {
	dirs := []string{"home/1", "home/2/jobs.d", "home/2", "none/yet/3"}
	d := openWith(t, Options{Debounce: time.Millisecond}, tempDir(t), dirs...)
	d.live()

	parents := []string{"home", "home/1", "home/2", "home/2/jobs.d", "none", "none/yet", "none/yet/3",
		"home/1/sub", "home/2/sub", "store", "store/sub", "home/1/sub/deep"}
	names := []string{"a.conf", "b.conf", "a.override", "a", "sub", "deep", "jobs.d", ".h.conf", "c.conf~"}
	some := func(list []string) string { return list[random.IntN(len(list))] }
	spot := func() string { return d.path(some(parents) + "/" + some(names)) }
	serial := 0
	for range 25 {
		// Errors are part of the storm: half of what it tries cannot be.
		for range random.IntN(12) {
			path := spot()
			switch random.IntN(9) {
			case 0, 1, 2, 3:
				serial++
				if os.MkdirAll(filepath.Dir(path), 0o755) == nil {
					_ = os.WriteFile(path, fmt.Append(nil, "text ", serial), 0o644)
				}
			case 4:
				_ = os.RemoveAll(path)
			case 5:
				_ = os.RemoveAll(d.path(some(parents)))
			case 6:
				_ = os.Rename(path, spot())
			case 7:
				_ = os.Rename(d.path(some(parents)), d.path(some(parents)))
			case 8:
				target := d.path(some(parents))
				if random.IntN(2) == 0 {
					target += "/" + some(names)
				}
				_ = os.Symlink(target, path)
			}
		}
		fresh := openWith(t, Options{}, d.root, dirs...)
		fresh.load()
		want := fresh.list()
		fresh.w.Close()
		d.until(want...)
	}
}
