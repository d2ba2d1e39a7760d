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
PROGRAMS = bin/session-init bin/sctl
# Where install-system puts them.
SBINDIR ?= /sbin

.PHONY: all build run test fuzz quick check lint bench bench-session soak desktop mutate man completions pictures qemu install install-data uninstall install-system uninstall-system dist clean help

all: build

# A program that can lie anywhere is larger in memory, each time that it runs;
# distributions ask for that in GOFLAGS, and may have it by go build.
build: ## build bin/session-init and bin/sctl, static
	CGO_ENABLED=0 go build -buildmode=default -trimpath -ldflags "-s -w" -o bin/ ./cmd/session-init ./cmd/sctl

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

desktop: ## log in to sway and to openbox, with all ready jobs, and out again (needs 100 MB of packages: .ci/desktop install)
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

# Asked for together, as by make -j build install, one comes after the other.
ifneq ($(filter all build,$(MAKECMDGOALS)),)
$(PROGRAMS): build ;
else
$(PROGRAMS):
	@echo "there is no $@: run make first"; exit 1
endif

# As root, after make: nothing is built or fetched here.
install: $(PROGRAMS) install-data ## install what make has built below PREFIX (and DESTDIR)
	install -m 755 $(PROGRAMS) $(bindir)

# What a file says of /usr/local is true of PREFIX then.
at_prefix = sed -e 's,=/usr/local/bin/,=$(PREFIX)/bin/,' -e 's,/usr/local/libexec/,$(PREFIX)/libexec/,' -e 's,@bindir@,$(PREFIX)/bin,'

install-data: # all but the programs
	install -d $(bindir) $(mandir)/man1 $(mandir)/man5 $(mandir)/man7 $(mandir)/man8 $(docdir)/examples $(linkdir) $(xmldir) $(servicedir) $(schemadir) $(bashdir) $(zshdir) $(fishdir)
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
	for file in 55session-init session-init.dinit; do install -m 644 share/login/$$file $(docdir)/login || exit; done
	for file in turnstile session-init.openrc session-init.runit session-init.s6; do install -m 755 share/login/$$file $(docdir)/login || exit; done
	install -m 644 share/login/session-init.service $(docdir)/login
	$(at_prefix) share/login/session-init.service >$(docdir)/login/session-init.service
	$(at_prefix) share/login/turnstile >$(docdir)/login/turnstile
	install -m 755 share/login/pam-session-init $(linkdir)
	$(at_prefix) share/login/pam-session-init >$(linkdir)/pam-session-init
	install -m 644 README.md CHANGELOG.md HACKING.md DECISIONS.md LICENSE $(docdir)
	sed 's,(share/doc/,(,g' README.md >$(docdir)/README.md
	install -m 644 share/doc/login.md share/doc/coming-from.md share/doc/*.svg $(docdir)
	install -m 644 share/dbus-1/interfaces/*.xml $(xmldir)
	for file in share/dbus-1/services/*.in; do name=$(servicedir)/$$(basename $$file .in); install -m 644 $$file $$name && $(at_prefix) $$file >$$name || exit; done
	install -m 644 share/schema/*.json $(schemadir)
	install -d $(systemdir)
	install -m 644 share/system/*.conf $(systemdir)
	install -d $(jobdir)
	install -m 644 share/jobs/* $(jobdir)
	install -m 644 share/completions/sctl.bash $(bashdir)/sctl
	install -m 644 share/completions/sctl.zsh $(zshdir)/_sctl
	install -m 644 share/completions/sctl.fish $(fishdir)/sctl.fish

# What is to go is what would come, seen in a directory of its own; directories
# of ours go when nobody has put anything else there.
uninstall: ## remove what install has put there
	rm -f $(PROGRAMS:bin/%=$(bindir)/%)
	@stage=$$(mktemp -d) && trap 'rm -rf "$$stage"' EXIT && $(MAKE) -s install-data DESTDIR="$$stage" && \
		(cd "$$stage" && find . ! -type d) | while read -r file; do rm -f "$(DESTDIR)/$$file"; done && \
		(cd "$$stage" && find . -depth -type d -path '*/session-init*') | while read -r dir; do rmdir "$(DESTDIR)/$$dir" 2>/dev/null || :; done

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

uninstall-system: ## take the links of install-system away; another init must be there before the next boot
	for name in init $(SYSTEM_LINKS); do \
		file=$(DESTDIR)$(SBINDIR)/$$name; \
		case $$(readlink $$file) in $(PREFIX)/bin/sctl|$(PREFIX)/bin/session-init) rm $$file || exit ;; esac; \
	done
	[ $(systemdir) = $(machinedir) ] || { for file in share/system/*.conf; do rm -f $(machinedir)/$$(basename $$file); done; rmdir $(machinedir) $(dir $(machinedir)) 2>/dev/null || :; }
	[ $(policydir) = $(machinepolicydir) ] || for file in share/dbus-1/system.d/*.conf; do rm -f $(machinepolicydir)/$$(basename $$file); done

dist: ## bin/session-init-VERSION.tar.gz of what is committed, with the modules that it needs: it builds without a network
	@name=session-init-$$(sed -n 's/^const Version = "\(.*\)"/\1/p' session/api/version.go) && rm -rf bin/$$name && mkdir -p bin && \
		git archive --prefix=$$name/ HEAD | tar -x -C bin && (cd bin/$$name && go mod vendor) && \
		tar -C bin --owner=0 --group=0 --numeric-owner -czf bin/$$name.tar.gz $$name && rm -rf bin/$$name && echo bin/$$name.tar.gz

clean: ## remove what build made
	rm -rf bin

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
