package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestDeadlines: the earliest comes first, of two at the same time the older
// one; what was cleared does not come; a deadline that was saved has its place.
func TestDeadlines(t *testing.T) {
	var d deadlines
	if at, ok := d.next(); at != 0 || ok {
		t.Errorf("next() of none = %s, %t; want 0s, false", at, ok)
	}
	made := make(map[*deadline]string)
	for i, at := range []time.Duration{3, 1, 2, 1, 3, 1, 2, 2, 1} {
		made[d.add(at*time.Second, nil)] = fmt.Sprintf("%d:%d", at, i)
	}
	for due, name := range made {
		if name == "1:5" || name == "3:0" {
			d.remove(due)
		}
	}
	made[d.restore(2*time.Second, 4, nil)] = "2:saved"
	made[d.restore(3*time.Second, 50, nil)] = "3:saved"
	made[d.add(3*time.Second, nil)] = "3:last"
	if due := d.due(time.Second - 1); due != nil {
		t.Errorf("due before the first = %s", made[due])
	}
	var got []string
	for {
		due := d.due(3 * time.Second)
		if due == nil {
			break
		}
		got = append(got, made[due])
	}
	const want = "1:1 1:3 1:8 2:2 2:saved 2:6 2:7 3:4 3:saved 3:last"
	if text := strings.Join(got, " "); text != want {
		t.Errorf("the deadlines come as %s; want %s", text, want)
	}
	if len(d.heap) != 0 {
		t.Errorf("%d deadlines are left", len(d.heap))
	}
}
