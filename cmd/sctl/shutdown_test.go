package main

import (
	"testing"
	"time"
)

func TestShutdownTime(t *testing.T) {
	now := time.Date(2026, 3, 1, 14, 30, 20, 0, time.UTC)
	for word, want := range map[string]time.Time{
		"now": {}, "+0": {}, "0": {},
		"+5": now.Add(5 * time.Minute), "90": now.Add(90 * time.Minute),
		"14:31": time.Date(2026, 3, 1, 14, 31, 0, 0, time.UTC),
		"14:30": time.Date(2026, 3, 2, 14, 30, 0, 0, time.UTC),
		"0:00":  time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC),
	} {
		if got, err := shutdownTime(word, now); err != nil || !got.Equal(want) {
			t.Errorf("shutdownTime(%q) = %v, %v; want %v", word, got, err, want)
		}
	}
	for _, word := range []string{"", "soon", "24:00", "5:7", "5:60", "-5", "++5", "+-5", "1:2:3", "99999999999999999999"} {
		if got, err := shutdownTime(word, now); err == nil {
			t.Errorf("shutdownTime(%q) = %v; want an error", word, got)
		}
	}
	// What is very far away is not soon.
	for _, word := range []string{"+307445735", "+4294967295"} {
		if got, err := shutdownTime(word, now); err != nil || got.Before(now.AddDate(10, 0, 0)) {
			t.Errorf("shutdownTime(%q) = %v, %v; want a time far away", word, got, err)
		}
	}
}
