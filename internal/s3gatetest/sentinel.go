package s3gatetest

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// SentinelSet is a primary and its replicas behind sentinels.
type SentinelSet struct {
	*RedisSet
	Master    string          // the name by which sentinels know the primary
	Addrs     []string        // of the sentinels
	Sentinels []*RedisProcess // in the order of Addrs
}

// Sentinel starts a primary with replicas, and sentinels of which most have to
// agree that it is gone (a second without an answer) before they promote a
// replica. It waits until the sentinels know everything and each other. The
// arguments are for the primary and the replicas.
func Sentinel(t testing.TB, replicas, sentinels int, args ...string) *SentinelSet {
	t.Helper()
	s := &SentinelSet{RedisSet: RedisReplicas(t, replicas, args...), Master: "s3gate"}
	conf := fmt.Sprintf(`bind-source-addr %[1]s
sentinel announce-ip 127.0.0.1
sentinel monitor %[2]s 127.0.0.1 %[3]d %[4]d
sentinel down-after-milliseconds %[2]s 1000
sentinel failover-timeout %[2]s 2000
sentinel parallel-syncs %[2]s 2
`, peer, s.Master, s.Nodes[0].port, sentinels/2+1)
	for range sentinels {
		p := startRedis(t, writeConf(t, "sentinel.conf", conf), "--sentinel")
		// The usual periods, of up to 10 s, and the 30 s in which a sentinel
		// does nothing after it was not scheduled for a while, are too slow
		// for a test. The period of pings has to be well below
		// down-after-milliseconds, or else a node that is fine is taken to be
		// down before it was asked; and five of it above the second in which
		// replicas are asked for INFO once the primary is down, or else what
		// is known of them is too old to promote one.
		p.must("SENTINEL", "DEBUG", "info-period", 300, "ping-period", 300, "ask-period", 200, "publish-period", 300,
			"tilt-period", 1000)
		s.Sentinels = append(s.Sentinels, p)
		s.Addrs = append(s.Addrs, p.Addr)
	}
	await(t, "sentinels", s.all(), s.settled)
	return s
}

func (s *SentinelSet) all() []*RedisProcess { return slices.Concat(s.Sentinels, s.Nodes) }

// settled says what is missing before every sentinel knows all.
func (s *SentinelSet) settled() error {
	for _, p := range s.Sentinels {
		primary, err := fields(p.do("SENTINEL", "MASTER", s.Master).Result())
		if err != nil {
			return fmt.Errorf("%s: %w", p.Addr, err)
		}
		if primary["flags"] != "master" || primary["num-slaves"] != strconv.Itoa(len(s.Nodes)-1) ||
			primary["num-other-sentinels"] != strconv.Itoa(len(s.Sentinels)-1) {
			return fmt.Errorf("%s: primary is %s with %s replicas and %s other sentinels", p.Addr,
				primary["flags"], primary["num-slaves"], primary["num-other-sentinels"])
		}
		replicas, err := p.do("SENTINEL", "REPLICAS", s.Master).Slice()
		if err != nil {
			return fmt.Errorf("%s: %w", p.Addr, err)
		}
		for _, v := range replicas {
			replica, err := fields(v, nil)
			if err != nil {
				return err
			}
			if replica["flags"] != "slave" || replica["master-link-status"] != "ok" {
				return fmt.Errorf("%s: replica %s is %s, link %s", p.Addr, replica["name"], replica["flags"], replica["master-link-status"])
			}
		}
	}
	return nil
}

// fields turns an answer of names and values into a map.
func fields(answer any, err error) (map[string]string, error) {
	if err != nil {
		return nil, err
	}
	list, ok := answer.([]any)
	if !ok {
		return nil, fmt.Errorf("not a list: %v", answer)
	}
	m := map[string]string{}
	for pair := range slices.Chunk(list, 2) {
		m[fmt.Sprint(pair[0])] = fmt.Sprint(pair[len(pair)-1])
	}
	return m, nil
}

// Primary returns the node that the sentinels name. It waits until most of them
// name the same one, and it says so itself.
func (s *SentinelSet) Primary() *RedisProcess {
	s.t.Helper()
	return s.awaitPrimary("a primary", nil)
}

// AwaitFailover waits until the sentinels name another primary than old, and
// returns that one.
func (s *SentinelSet) AwaitFailover(old *RedisProcess) *RedisProcess {
	s.t.Helper()
	return s.awaitPrimary("failover from "+old.Addr, old)
}

func (s *SentinelSet) awaitPrimary(what string, not *RedisProcess) (primary *RedisProcess) {
	s.t.Helper()
	await(s.t, what, s.all(), func() (err error) {
		if primary, err = s.named(); err != nil {
			return err
		}
		if primary == not {
			return errors.New("the sentinels name it still")
		}
		role, err := primary.do("ROLE").Slice()
		if err != nil {
			return err
		}
		if role[0] != "master" {
			return fmt.Errorf("%s is named but says it is a %v", primary.Addr, role[0])
		}
		return nil
	})
	return primary
}

// named returns the node that all sentinels name that answer, which have to be
// most of them.
func (s *SentinelSet) named() (*RedisProcess, error) {
	var names []string
	for _, p := range s.Sentinels {
		addr, err := p.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.Master).StringSlice()
		if err == nil && len(addr) == 2 {
			names = append(names, net.JoinHostPort(addr[0], addr[1]))
		}
	}
	if len(names) <= len(s.Sentinels)/2 {
		return nil, fmt.Errorf("only %d sentinels answer", len(names))
	}
	if slices.Sort(names); names[0] != names[len(names)-1] {
		return nil, fmt.Errorf("they name %s", strings.Join(names, ", "))
	}
	for _, n := range s.Nodes {
		if n.Addr == names[0] {
			return n, nil
		}
	}
	return nil, fmt.Errorf("%s is none of the nodes", names[0])
}
