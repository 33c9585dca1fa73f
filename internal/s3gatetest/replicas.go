package s3gatetest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// peer is where the nodes of a set connect from to each other, and the
// sentinels to them. Clients come from 127.0.0.1, so that a node can tell.
const peer = "127.0.0.2"

// RedisSet is a primary and its replicas as they were started; which is the
// primary may change. Nodes find each other at the addresses that clients use.
type RedisSet struct {
	Nodes []*RedisProcess // the first one was the primary

	t testing.TB
}

// RedisReplicas starts a primary and n replicas with further arguments each, as
// RedisServer does, and waits until all replicas are online. A node that is
// restarted has the role that it had.
func RedisReplicas(t testing.TB, n int, args ...string) *RedisSet {
	t.Helper()
	needPeers(t)
	s := &RedisSet{t: t}
	for range n + 1 {
		s.Nodes = append(s.Nodes, startNode(t, args...))
	}
	for _, r := range s.Nodes[1:] {
		r.Follow(s.Nodes[0])
	}
	return s
}

// needPeers wants more than one loopback address, as Linux has.
func needPeers(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(peer, "0"))
	Need(t, "the address "+peer+" (ifconfig lo0 alias "+peer+")", err)
	l.Close()
}

// startNode starts a server that can take part in replication. What it has to
// remember over a restart is in its configuration file.
func startNode(t testing.TB, args ...string) *RedisProcess {
	t.Helper()
	return startRedis(t, writeConf(t, "redis.conf", ""), slices.Concat([]string{
		"--bind-source-addr", peer, "--replica-announce-ip", "127.0.0.1",
		"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
		"--repl-ping-replica-period", "1", "--repl-timeout", "5",
	}, args)...)
}

// writeConf writes a configuration for one server, which may rewrite it.
func writeConf(t testing.TB, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("protected-mode no\n"+text), 0o600); err != nil {
		t.Fatalf("configuring redis-server: %v", err)
	}
	return path
}

// Follow makes the server a replica of another one and waits until the link
// between them is up. It does not wait for writes after that.
func (r *RedisProcess) Follow(primary *RedisProcess) {
	r.t.Helper()
	r.must("REPLICAOF", "127.0.0.1", primary.port)
	if r.conf != "" {
		r.must("CONFIG", "REWRITE")
	}
	r.AwaitReplica(primary)
}

// AwaitReplica waits until the server is a replica of primary, both say that it
// is online, and it acknowledges what the primary is told.
func (r *RedisProcess) AwaitReplica(primary *RedisProcess) {
	r.t.Helper()
	var sent int64 // the offset to be acknowledged; 0 as long as it is not online
	await(r.t, "replication from "+primary.Addr, []*RedisProcess{primary, r}, func() error {
		if err := errors.Join(r.follows(primary), primary.feeds(r, sent)); err != nil || sent > 0 {
			return err
		}
		// For up to a second after a synchronization a replica is online and
		// has acknowledged that, but is sent nothing.
		primary.must("PUBLISH", "s3gatetest", "")
		info, err := primary.info("replication")
		if err != nil {
			return err
		}
		sent, err = strconv.ParseInt(info["master_repl_offset"], 10, 64)
		return errors.Join(err, primary.feeds(r, sent))
	})
}

// follows says what is missing before a replica says that it is one of primary.
func (r *RedisProcess) follows(primary *RedisProcess) error {
	info, err := r.info("replication")
	if err != nil {
		return err
	}
	if info["role"] != "slave" || info["master_port"] != strconv.Itoa(primary.port) || info["master_link_status"] != "up" {
		return fmt.Errorf("%s: role %s of port %s, link %s", r.Addr, info["role"], info["master_port"], info["master_link_status"])
	}
	return nil
}

// feeds says what is missing before a primary says that replica is online and
// has acknowledged offset.
func (r *RedisProcess) feeds(replica *RedisProcess, offset int64) error {
	r.do("WAIT", 1000, 10) // which asks all replicas how far they are
	info, err := r.info("replication")
	if err != nil {
		return err
	}
	online := fmt.Sprintf("port=%d,state=online,offset=", replica.port)
	for field, value := range info {
		_, rest, ok := strings.Cut(value, online)
		if !ok || !strings.HasPrefix(field, "slave") {
			continue
		}
		acked, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.ParseInt(acked, 10, 64); err != nil || n < offset {
			return fmt.Errorf("%s: replica %s has acknowledged %s, not %d", r.Addr, replica.Addr, acked, offset)
		}
		return nil
	}
	return fmt.Errorf("%s: role %s, without %s online among its %s replicas", r.Addr, info["role"], replica.Addr, info["connected_slaves"])
}

// Isolate cuts a node of a set off from its primary, its replicas and the
// sentinels, while clients reach it, over a Restart too. Its connections to the
// others break: it knows that they are gone. Heal ends it. The bus of a cluster
// is not cut, and nothing is where there is a password.
func (r *RedisProcess) Isolate() {
	r.t.Helper()
	// Protected mode turns away whoever does not come from 127.0.0.1.
	r.configure("protected-mode", "yes")
	r.Detach()
	clients, err := r.must("CLIENT", "LIST").Text()
	if err != nil {
		r.t.Fatalf("%s: CLIENT LIST: %v", r.Addr, err)
	}
	for line := range strings.Lines(clients) {
		if !strings.Contains(line, " addr="+peer+":") {
			continue
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
		// One that has gone by itself is no error.
		r.must("CLIENT", "KILL", "ID", id)
	}
}

// Detach stops the replication to a node of a set, over a Restart too: what the
// primary is told from now on does not reach it. Clients and sentinels do. Heal
// ends it.
func (r *RedisProcess) Detach() {
	r.t.Helper()
	// A primary without passwords refuses one.
	r.configure("masteruser", "nobody", "masterauth", "nothing")
	r.must("CLIENT", "KILL", "TYPE", "master")
}

// Heal ends Isolate and Detach. The node catches up, or learns that it is no
// longer the primary, after that; AwaitReplica waits for it.
func (r *RedisProcess) Heal() {
	r.t.Helper()
	r.configure("masteruser", "", "masterauth", "", "protected-mode", "no")
}

// configure changes settings, for after a restart too.
func (r *RedisProcess) configure(settings ...any) {
	r.t.Helper()
	r.must(append([]any{"CONFIG", "SET"}, settings...)...)
	r.must("CONFIG", "REWRITE")
}
