package s3gatetest

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Redis starts a redis-server for the test and returns its address. It keeps
// nothing on disk.
func Redis(t testing.TB) (addr string) {
	t.Helper()
	return RedisServer(t).Addr
}

// RedisProcess is a redis-server started for a test. Its methods are for the
// goroutine of the test.
type RedisProcess struct {
	Addr string // host:port, the same after Restart
	Dir  string // its working directory, where it would persist

	t    testing.TB
	path string
	conf string // its configuration file, which it rewrites; "" means none
	args []string
	env  []string // for another clock; nil means none
	port int
	proc *process
}

// RedisServer starts a redis-server with further arguments, such as
// "--appendonly", "yes", and waits until it answers. Without any it persists
// nothing. The test's end stops it.
func RedisServer(t testing.TB, args ...string) *RedisProcess {
	t.Helper()
	return startRedis(t, "", args...)
}

// startRedis is RedisServer with a configuration file.
func startRedis(t testing.TB, conf string, args ...string) *RedisProcess {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	Need(t, "redis-server (apt-get install redis-server)", err)
	r := &RedisProcess{Dir: t.TempDir(), t: t, path: path, conf: conf, args: args}
	// Another process can take the port in between: try others.
	for range 5 {
		r.port = redisPort(t)
		r.Addr = loopback(r.port)
		if r.start() {
			return r
		}
	}
	t.Fatalf("redis-server does not start:\n%s", r.proc.output)
	return nil
}

// redisPort leaves room for the cluster bus, which listens 10,000 higher.
func redisPort(t testing.TB) int {
	t.Helper()
	for {
		if port := freePort(t); port <= 55535 {
			return port
		}
	}
}

func (r *RedisProcess) start() bool {
	r.t.Helper()
	var args []string
	if r.conf != "" {
		args = append(args, r.conf) // it has to be the first
	}
	args = append(args, "--bind", "127.0.0.1", "--port", strconv.Itoa(r.port), "--dir", r.Dir, "--daemonize", "no",
		"--save", "", "--appendonly", "no")
	r.proc = launch(r.t, r.env, r.path, slices.Concat(args, r.args)...)
	ready := r.proc.waitUntil(r.t, r.ping)
	if r.env != nil {
		r.forgetClock()
	}
	return ready
}

// ping asks without a client library, so that any version of any may be tested.
func (r *RedisProcess) ping() error {
	conn, err := net.DialTimeout("tcp", r.Addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	// With a password it answers NOAUTH, which will do.
	if strings.HasPrefix(line, "+PONG") || strings.HasPrefix(line, "-NOAUTH") {
		return nil
	}
	return fmt.Errorf("answer to PING: %s", strings.TrimSpace(line))
}

// Stop ends the server as an operator would, with SIGTERM. If it is configured
// to persist, it does.
func (r *RedisProcess) Stop() {
	r.t.Helper()
	resume(r.proc.cmd.Process) // a paused process does not hear
	r.proc.stop()
}

// Kill ends the server at once, as a crash would.
func (r *RedisProcess) Kill() { r.proc.kill() }

// Restart stops the server, if it runs, and starts it again with the same
// address, directory and arguments.
func (r *RedisProcess) Restart() {
	r.t.Helper()
	r.Stop()
	if !r.start() {
		r.t.Fatalf("redis-server does not start again:\n%s", r.proc.output)
	}
}

// Pause freezes the server: connections stay open and nothing answers.
func (r *RedisProcess) Pause() {
	r.t.Helper()
	if err := suspend(r.proc.cmd.Process); err != nil {
		r.t.Fatalf("pausing redis-server: %v", err)
	}
}

// Resume ends a Pause.
func (r *RedisProcess) Resume() {
	r.t.Helper()
	if err := resume(r.proc.cmd.Process); err != nil {
		r.t.Fatalf("resuming redis-server: %v", err)
	}
}
