package job

import (
	"testing"
	"time"
)

func TestNextRespawn(t *testing.T) {
	const s = time.Second
	const ever = maxSeconds * s
	for _, test := range []struct {
		delay  time.Duration
		factor int
		most   time.Duration
		waits  []time.Duration // one after the other
	}{
		{0, 0, 0, []time.Duration{0, 0}},
		{4 * s, 0, 0, []time.Duration{4 * s, 4 * s, 4 * s}},
		{0, 2, 7 * s, []time.Duration{s, 2 * s, 4 * s, 7 * s, 7 * s}},
		{3 * s, 2, 12 * s, []time.Duration{3 * s, 6 * s, 12 * s, 12 * s}},
		{3 * s, 1, 12 * s, []time.Duration{3 * s, 3 * s}},
		{30 * s, 2, 12 * s, []time.Duration{12 * s, 12 * s}},
		{2 * s, 1 << 30, ever, []time.Duration{2 * s, (2 << 30) * s, ever, ever}},
		{ever, 1<<31 - 1, ever, []time.Duration{ever, ever}},
	} {
		class := Class{RespawnDelay: test.delay, RespawnFactor: test.factor, RespawnMax: test.most}
		last := time.Duration(0)
		for i, want := range test.waits {
			got := class.NextRespawn(last)
			if got != want {
				t.Errorf("delay %v, backoff %d %v: NextRespawn(%v), the %d., = %v; want %v", test.delay, test.factor, test.most, last, i+1, got, want)
			}
			last = got
		}
	}
}

// The edges of NextRespawn, where a delay that is no whole second would be.
func TestNextRespawnEdges(t *testing.T) {
	c := &Class{RespawnFactor: 7, RespawnMax: time.Second}
	for last, want := range map[time.Duration]time.Duration{
		1: 7, time.Second / 7: time.Second / 7 * 7, time.Second/7 + 1: time.Second, 1 << 62: time.Second,
	} {
		if got := c.NextRespawn(last); got != want {
			t.Errorf("NextRespawn(%d) = %d; want %d", last, got, want)
		}
	}
}

func TestGoodRun(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		0: DefaultRespawnInterval, 1: 1, time.Minute: time.Minute,
	} {
		if got := (&Class{RespawnInterval: interval}).GoodRun(); got != want {
			t.Errorf("GoodRun() with the interval %v = %v; want %v", interval, got, want)
		}
	}
}
