package scarce

import (
	"math"
	"testing"

	"golang.org/x/sys/unix"
)

func TestIsLast(t *testing.T) {
	for _, test := range []struct {
		fd    int
		limit uint64
		want  bool
	}{
		{0, 0, true},
		{3, Spare, true},
		{0, Spare + 1, false},
		{1024 - Spare - 1, 1024, false},
		{1024 - Spare, 1024, true},
		{1 << 20, math.MaxUint64, false},
	} {
		if got := isLast(test.fd, test.limit); got != test.want {
			t.Errorf("isLast(%d, %d) = %v; want %v", test.fd, test.limit, got, test.want)
		}
	}
}

func TestDescriptor(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if last := int(min(limit.Cur, math.MaxInt32)); !Descriptor(last) {
		t.Errorf("Descriptor(%d) = false, and %d is the limit", last, limit.Cur)
	}
}
