package session

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/session-init/session-init/supervise"
)

func TestCredentialBeyondEtc(t *testing.T) {
	answers := map[string]string{
		"getent -- passwd ada@example":   "ada@example:*:70001:70000:Ada:/home/ada:/bin/sh\n",
		"getent -- passwd 70001":         "ada@example:*:70001:70000:Ada:/home/ada:/bin/sh\n",
		"id -G -- ada@example":           "70000 70005 100\n",
		"getent -- passwd lone@example":  "lone@example:*:70009:70000::/:/bin/sh\n",
		"getent -- group staff@example":  "staff@example:*:70005:ada@example\n",
		"getent -- passwd bad@example":   "bad@example:*:many:70000::/:\n",
		"getent -- passwd short@example": "short@example\n",
	}
	names := nameService{func(program string, args ...string) (string, error) {
		question := program + " " + strings.Join(args, " ")
		if strings.Contains(question, "away@example") {
			return "", errors.New("cannot ask getent: timeout")
		}
		return answers[question], nil
	}}
	for _, test := range []struct{ user, group, want string }{
		{"ada@example", "", "70001 70000 [70000 70005 100]"},
		{"70001", "", "70001 70000 [70000 70005 100]"},
		{"ada@example", "staff@example", "70001 70005 [70000 70005 100]"},
		{"lone@example", "", "70009 70000 [70000]"},
		{"root", "staff@example", "0 70005 [0]"},
		{"nobody@example", "", "cannot set user nobody@example: unknown user"},
		{"short@example", "", "cannot set user short@example: unknown user"},
		{"root", "nothing@example", "cannot set group nothing@example: unknown group"},
		{"away@example", "", "cannot set user away@example: unknown user, and cannot ask getent: timeout"},
		{"bad@example", "", `strconv.ParseUint: parsing "many": invalid syntax`},
	} {
		credential, err := lookupCredential(names, test.user, test.group)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprintf("%d %d %v", credential.UID, credential.GID, credential.Groups)
		}
		if got != test.want {
			t.Errorf("lookupCredential(%s, %s) = %s; want %s", test.user, test.group, got, test.want)
		}
	}
	// The real programs, as far as there are any, agree with /etc.
	if fields, err := systemNames().entry("passwd", "root"); err == nil && len(fields) > 0 {
		if fields[0] != "root" || fields[2] != "0" {
			t.Errorf("getent passwd root = %q", fields)
		}
	}
	var want *supervise.Credential
	if got, err := lookupCredential(systemNames(), "no such user", ""); !reflect.DeepEqual(got, want) || err == nil {
		t.Errorf("lookupCredential(no such user) = %v, %v", got, err)
	}
}
