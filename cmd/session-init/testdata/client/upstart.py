# What Upstart's clients do, by D-Bus and with nothing but what Upstart has:
# initctl's commands one after the other, and what a test module in Python
# does, which writes job files and waits for JobAdded. Ends with "done".
# Arguments: the address, the directory of job files.
import json, logging, os, sys, time
import dbus, dbus.connection
try:
    import dbus.mainloop.glib
    from gi.repository import GLib
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
except ImportError:
    GLib = None # then signals are not heard, and asked for instead

NAME = 'com.ubuntu.Upstart0_6'
ADDRESS, CONF = sys.argv[1:]
bus = dbus.connection.Connection(ADDRESS)
def wrap(path, kind=''): return dbus.Interface(bus.get_object(object_path=path), NAME + kind)
def props(path, kind=''):
    p = dbus.Interface(bus.get_object(object_path=path), 'org.freedesktop.DBus.Properties')
    return {str(k): v for k, v in p.GetAll(NAME + kind).items()}
def strs(*words): return dbus.Array(words, signature='s')
upstart = wrap('/com/ubuntu/Upstart')

def check(what, got, want):
    if got != want:
        sys.exit('%s = %r; want %r' % (what, got, want))
def refused(what, error, message, call, *args):
    try: got = call(*args)
    except dbus.DBusException as e:
        check(what, (e.get_dbus_name(), e.get_dbus_message()), (NAME + '.Error.' + error, message))
    else: sys.exit('%s = %r; want %s' % (what, got, error))

# A job that is written is added; signals come through a main loop.
def job(name, text):
    path = '/com/ubuntu/Upstart/jobs/' + ''.join(c if c.isalnum() else '_%02x' % ord(c) for c in name)
    file = os.path.join(CONF, name)
    with open(file + '.tmp', 'w') as f: f.write(text)
    if not GLib:
        os.rename(file + '.tmp', file + '.conf')
        for i in range(600):
            if path in upstart.GetAllJobs(): return path
            time.sleep(0.1)
        sys.exit(name + ' is not added')
    added, loop = [], GLib.MainLoop()
    def heard(p):
        if p == path: added.append(p); loop.quit()
    match = bus.add_signal_receiver(heard, 'JobAdded', NAME, path='/com/ubuntu/Upstart')
    os.rename(file + '.tmp', file + '.conf')
    GLib.timeout_add_seconds(60, loop.quit)
    loop.run()
    match.remove()
    check('JobAdded', added, [path])
    return path

# version, log-priority
version = str(props('/com/ubuntu/Upstart')['version'])
check('version', version.split()[0], 'session-init')
manager = dbus.Interface(bus.get_object(object_path='/com/ubuntu/Upstart'), 'org.freedesktop.DBus.Properties')
for word in ('debug', 'info', 'message', 'warn', 'error', 'fatal', 'message'):
    manager.Set(NAME, 'log_priority', word)
    check('log_priority', str(manager.Get(NAME, 'log_priority')), word)

# list, status, usage, show-config
svc = job('svc', 'description "a service"\nauthor "me"\nversion "1"\nusage "A=b"\nemits lease\n'
          'start on up IFACE=eth* and started dbus\nstop on down\nenv V=1\nexec sleep 600\n')
check('list', [str(p) for p in upstart.GetAllJobs()], [svc])
check('by name', str(upstart.GetJobByName('svc')), svc)
refused('no job', 'UnknownJob', 'Unknown job: nope', upstart.GetJobByName, 'nope')
p = props(svc, '.Job')
check('properties', [str(p[k]) for k in ('name', 'description', 'author', 'version', 'usage')],
      ['svc', 'a service', 'me', '1', 'A=b'])
check('emits', [str(e) for e in p['emits']], ['lease'])
check('start_on', [[str(w) for w in o] for o in p['start_on']], [['up', 'IFACE=eth*'], ['started', 'dbus'], ['/AND']])
check('stop_on', [[str(w) for w in o] for o in p['stop_on']], [['down']])
check('instances', len(wrap(svc, '.Job').GetAllInstances()), 0)

# start, status, reload, restart, stop
service = wrap(svc, '.Job')
one = str(service.Start(strs('A=b'), True))
check('start', one, svc + '/_')
check('instance', str(service.GetInstance(strs())), one)
check('by its name', str(service.GetInstanceByName('')), one)
refused('start again', 'AlreadyStarted', 'Job is already running: svc', service.Start, strs(), True)
p = props(one, '.Instance')
check('status', [str(p[k]) for k in ('name', 'goal', 'state')], ['', 'start', 'running'])
def pids(path): return {str(k): int(v) for k, v in props(path, '.Instance')['processes']}
main = pids(one)['main']
os.kill(main, 0)
check('restart', str(service.Restart(strs(), True)), one)
if pids(one)['main'] == main: sys.exit('restart left the process')
wrap(one, '.Instance').Restart(True)
service.Stop(strs(), True)
refused('stop again', 'UnknownInstance', 'Unknown instance: svc', service.Stop, strs(), True)
hup = job('hup', 'expect stop\nexec sh -c \'trap "echo x >>"%s"/hupped" HUP; kill -STOP $$; while :; do sleep 1; done\'\n' % CONF)
wrap(str(wrap(hup, '.Job').Start(strs(), True)), '.Instance').Reload()
for i in range(600):
    if os.path.exists(os.path.join(CONF, 'hupped')): break
    time.sleep(0.1)
else: sys.exit('reload: no HUP came')

# instances with names, tasks that fail
tty = job('tty', 'instance $TTY\nexec sleep 600\n')
t = wrap(tty, '.Job')
check('start tty', str(t.Start(strs('TTY=a/b'), True)), tty + '/a_2fb')
check('start tty', str(t.Start(strs('TTY=2'), False)), tty + '/2')
check('instances', sorted(str(i) for i in t.GetAllInstances()), [tty + '/2', tty + '/a_2fb'])
wrap(tty + '/a_2fb', '.Instance').Stop(True)
refused('no such instance', 'UnknownInstance', 'Unknown instance: tty (9)', t.GetInstance, strs('TTY=9'))
bad = job('bad', 'task\nstart on fails\nexec false\n')
refused('start of what fails', 'JobFailed', 'Job failed to start', wrap(bad, '.Job').Start, strs(), True)

# emit
upstart.EmitEvent('nothing', strs('A=b', 'C='), True)
refused('emit', 'EventFailed', 'Event failed', upstart.EmitEvent, 'fails', strs(), True)
upstart.EmitEvent('nothing', strs(), False)

# the environment of jobs
none = strs()
upstart.SetEnv(none, 'K=1', True)
upstart.SetEnv(none, 'K=2', False)
check('get-env', str(upstart.GetEnv(none, 'K')), '1')
upstart.SetEnvList(none, strs('K=3', 'L=4'), True)
check('list-env', {'K=3', 'L=4'} <= {str(e) for e in upstart.ListEnv(none)}, True)
upstart.UnsetEnvList(none, strs('L'))
upstart.UnsetEnv(none, 'K')
for name in 'KL':
    try: upstart.GetEnv(none, name)
    except dbus.DBusException as e: check('get-env', e.get_dbus_message(), 'No such variable: ' + name)
    else: sys.exit('unset-env left ' + name)
upstart.SetEnv(strs('tty', '2'), 'M=5', True)
check('get-env of an instance', str(upstart.GetEnv(strs('tty', '2'), 'M')), '5')
upstart.ResetEnv(none)

# the state, reload-configuration, the addresses of other buses
state = json.loads(upstart.GetState())
check('sessions', state['sessions'], [])
check('conf_sources', [s['path'] for s in state['conf_sources']], [CONF])
files = {f['path']: f['job_class'] for f in state['conf_sources'][0]['conf_files']}
check('conf_files', sorted(os.path.basename(f) for f in files), ['bad.conf', 'hup.conf', 'svc.conf', 'tty.conf'])
check('jobs', [(j['name'], j['state']) for j in files[os.path.join(CONF, 'tty.conf')]['jobs']], [('2', 'running')])
os.remove(os.path.join(CONF, 'bad.conf'))
upstart.ReloadConfiguration()
refused('a job that is gone', 'UnknownJob', 'Unknown job: bad', upstart.GetJobByName, 'bad')
upstart.NotifyCGroupManagerAddress('unix:path=/nowhere')
upstart.NotifyDiskWriteable()
try: upstart.NotifyDBusAddress('unix:path=/nowhere')
except dbus.DBusException as e: check('notify-dbus-address', 'cannot' in e.get_dbus_message(), True)

# re-exec: the connection is lost, the jobs are not.
main = pids(tty + '/2')['main']
logging.disable() # it tells of each call that is lost with the old daemon
upstart.Restart()
for i in range(600):
    try:
        bus = dbus.connection.Connection(ADDRESS)
        if pids(tty + '/2')['main'] == main: break
    except dbus.DBusException: pass
    time.sleep(0.1)
else: sys.exit('re-exec: the daemon does not come back')
print('done')
