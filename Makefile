# session-init: what can be done in this tree. `make help` lists it.
# The work of the longer targets is done by the scripts in .ci, which can be
# run alone as well.

PREFIX  ?= /usr/local
DESTDIR ?=

bindir  = $(DESTDIR)$(PREFIX)/bin
mandir  = $(DESTDIR)$(PREFIX)/share/man
docdir  = $(DESTDIR)$(PREFIX)/share/doc/session-init
systemdir = $(DESTDIR)$(PREFIX)/share/session-init/system
linkdir = $(DESTDIR)$(PREFIX)/libexec/session-init
systemlinkdir = $(linkdir)/system
policydir = $(DESTDIR)$(PREFIX)/share/dbus-1/system.d
jobdir  = $(DESTDIR)$(PREFIX)/share/session-init/jobs
schemadir = $(DESTDIR)$(PREFIX)/share/session-init/schema
xmldir  = $(DESTDIR)$(PREFIX)/share/dbus-1/interfaces
servicedir = $(DESTDIR)$(PREFIX)/share/dbus-1/services

# The version stands in session/api: the build does not ask git, which refuses
# to answer in a tree that belongs to another user.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

# Where display managers look for sessions.
waylanddir  = $(DESTDIR)$(PREFIX)/share/wayland-sessions
xsessiondir = $(DESTDIR)$(PREFIX)/share/xsessions

# Where the shells look for completions. bash reads that of sctl when sctl is
# completed first, and from then on completes its links too.
bashdir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir  = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishdir = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

PURE  = ./events/... ./session/job/... ./session/lint/... ./session/engine/... ./session/api/...
# Names of sctl that are commands of their own.
LINKS = initctl start stop restart reload status emit
# Those of System V, in a directory of their own: another init may have them, and
# "start" stands in the path of every job. init is session-init itself.
SYSTEM_LINKS = shutdown halt poweroff reboot telinit runlevel
# Where install-system puts them.
SBINDIR ?= /sbin

.PHONY: all build run test fuzz quick check lint bench bench-session soak desktop mutate man completions pictures qemu install install-system clean help

all: build

build: ## build bin/session-init and bin/sctl, static
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/ ./cmd/session-init ./cmd/sctl

run: build ## start a session on share/examples and watch it; Ctrl-C ends it
	@exec bin/session-init --confdir share/examples --runtime-dir auto --logdir bin/log --verbose

test: ## everything that must hold, as .ci/run does it
	@.ci/test

quick: ## the tests of the pure part, in seconds
	go test $(PURE)

check: ## gofmt, vet, staticcheck, architecture, man pages
	@.ci/lint

lint: check

bench: ## every benchmark
	go test -run '^$$' -bench . -benchmem ./...

bench-session: ## 25 programs of a desktop, by us, by systemd --user and by a shell: tables (COUNT=30 runs, CHURN=20000 starts and stops)
	go test -run '^$$' -bench 'BenchmarkSession$$' -benchtime $${COUNT:-30}x -timeout 60m ./cmd/session-init
	go test -run '^$$' -bench 'BenchmarkSessionMemory$$' -benchtime 1x -timeout 60m ./cmd/session-init

fuzz: ## look for input that breaks a parser, a minute each (FUZZTIME=)
	@.ci/fuzz $${FUZZTIME:-60s}

soak: ## fuzz each target for a minute, live through random sessions (STEPS=), start and stop a million jobs (MILLION=), repeat the tests that touch the kernel
	@.ci/fuzz $${FUZZTIME:-60s}
	go test -race -count=$${COUNT:-20} -timeout 60m ./supervise/... ./session/... ./cmd/...
	go test -count=1 -timeout 6h -run 'TestPredict$$|TestModel$$' ./session/engine -steps $${STEPS:-10000000}
	SOAK=1 go test -count=1 -timeout 60m -run 'TestKilled|TestRandom|TestForesee$$|TestReal|TestDesktop|TestLiveEqualsLoad' ./cmd/session-init ./session ./session/conf
	SOAK=1 go test -count=1 -timeout 12h -run 'TestMillion$$' -v ./cmd/session-init

desktop: ## log in to sway and to openbox, with all ready jobs, and out again (needs 40 MB of packages: .ci/desktop install)
	@.ci/desktop

mutate: ## change the code of events, job and the engine in small ways: which changes do their tests not notice?
	go run ./session/testkit/mutate -min 85 $${SAMPLE:+-sample $$SAMPLE} ./events ./session/job ./session/engine

man: ## write the stanzas into session-init-job(5), from their table
	go run ./cmd/mkman share/man/man5/session-init-job.5

completions: build ## write share/completions, as sctl completion prints them
	bin/sctl completion bash >share/completions/sctl.bash
	bin/sctl completion zsh >share/completions/sctl.zsh
	bin/sctl completion fish >share/completions/sctl.fish

pictures: build ## make the pictures of README anew, of a session on share/examples
	@.ci/pictures

qemu: ## boot Debian in a virtual machine, to the login and back; and with sysvinit, to compare (QEMU=-kvm, QEMU=-only=NAME)
	@.ci/qemu

install: build ## install below PREFIX (and DESTDIR)
	install -d $(bindir) $(mandir)/man1 $(mandir)/man5 $(mandir)/man7 $(mandir)/man8 $(docdir)/examples $(docdir)/share/doc $(linkdir) $(xmldir) $(servicedir) $(schemadir) $(bashdir) $(zshdir) $(fishdir)
	install -m 755 bin/session-init bin/sctl $(bindir)
	for name in $(LINKS); do ln -sf ../../bin/sctl $(linkdir)/$$name || exit; done
	install -d $(systemlinkdir) $(policydir)
	for name in $(SYSTEM_LINKS); do ln -sf ../../../bin/sctl $(systemlinkdir)/$$name || exit; done
	ln -sf ../../../bin/session-init $(systemlinkdir)/init
	install -m 644 share/dbus-1/system.d/*.conf $(policydir)
	for page in share/man/man?/*; do install -m 644 $$page $(mandir)/$$(basename $$(dirname $$page)) || exit; done
	install -m 644 share/examples/*.conf $(docdir)/examples
	install -d $(docdir)/login $(waylanddir) $(xsessiondir)
	install -m 755 share/login/session-init-session $(bindir)
	install -m 644 share/login/sway-session-init.desktop $(waylanddir)
	install -m 644 share/login/openbox-session-init.desktop $(xsessiondir)
	install -m 644 share/doc/login.md $(docdir)
	for file in 55session-init session-init.dinit session-init.service; do install -m 644 share/login/$$file $(docdir)/login || exit; done
	for file in turnstile pam-session-init session-init.openrc session-init.runit session-init.s6; do install -m 755 share/login/$$file $(docdir)/login || exit; done
	install -m 644 README.md CHANGELOG.md LICENSE $(docdir)
	install -m 644 share/doc/*.svg $(docdir)/share/doc
	install -m 644 share/dbus-1/interfaces/*.xml $(xmldir)
	for file in share/dbus-1/services/*.in; do sed 's,@bindir@,$(PREFIX)/bin,' $$file >$(servicedir)/$$(basename $$file .in) || exit; done
	install -m 644 share/schema/*.json $(schemadir)
	install -d $(systemdir)
	install -m 644 share/system/*.conf $(systemdir)
	install -d $(jobdir)
	install -m 644 share/jobs/* $(jobdir)
	install -m 644 share/completions/sctl.bash $(bashdir)/sctl
	install -m 644 share/completions/sctl.zsh $(zshdir)/_sctl
	install -m 644 share/completions/sctl.fish $(fishdir)/sctl.fish

# The daemon of the machine looks there for its jobs, and the system bus for our
# policy, wherever the programs are.
machinedir = $(DESTDIR)/usr/share/session-init/system
machinepolicydir = $(DESTDIR)/usr/share/dbus-1/system.d

install-system: install ## install, and take the names of System V in SBINDIR (/sbin): the next boot is ours
	@install -d $(DESTDIR)$(SBINDIR)
	@for name in init $(SYSTEM_LINKS); do \
		file=$(DESTDIR)$(SBINDIR)/$$name; \
		case $$(readlink $$file) in $(PREFIX)/bin/sctl|$(PREFIX)/bin/session-init) rm $$file ;; esac; \
		if [ -e $$file ] || [ -L $$file ]; then echo "$$file is another program's: remove its package, or the file, first"; exit 1; fi; \
	done
	[ $(systemdir) = $(machinedir) ] || { install -d $(machinedir) && install -m 644 share/system/*.conf $(machinedir); }
	[ $(policydir) = $(machinepolicydir) ] || { install -d $(machinepolicydir) && install -m 644 share/dbus-1/system.d/*.conf $(machinepolicydir); }
	for name in $(SYSTEM_LINKS); do ln -s $(PREFIX)/bin/sctl $(DESTDIR)$(SBINDIR)/$$name || exit; done
	ln -s $(PREFIX)/bin/session-init $(DESTDIR)$(SBINDIR)/init

clean: ## remove what build made
	rm -rf bin

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
