package s3gatetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const slots = 16384

// ClusterSet is a Redis Cluster. Replicas stay with the slots that they were
// started for: they do not migrate to a primary that has none.
type ClusterSet struct {
	Nodes []*RedisProcess // first the primaries at the start, then their replicas
	Addrs []string        // of Nodes

	t      testing.TB
	ids    map[*RedisProcess]string
	shards [][]*RedisProcess // one of them is the primary, which may change
}

// Cluster starts a Redis Cluster, with the slots spread evenly and further
// arguments for each node, and waits until all nodes serve. A primary that does
// not answer for a second and a half is taken to be gone.
func Cluster(t testing.TB, primaries, replicasEach int, args ...string) *ClusterSet {
	t.Helper()
	s := &ClusterSet{t: t, ids: map[*RedisProcess]string{}, shards: make([][]*RedisProcess, primaries)}
	for i := range primaries * (1 + replicasEach) {
		n := startNode(t, slices.Concat([]string{
			"--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1",
			"--cluster-node-timeout", "1500", "--cluster-allow-replica-migration", "no",
		}, args)...)
		s.Nodes = append(s.Nodes, n)
		s.Addrs = append(s.Addrs, n.Addr)
		s.shards[i%primaries] = append(s.shards[i%primaries], n)
		s.ids[n] = n.id()
	}
	s.meet()
	for i, shard := range s.shards {
		shard[0].must("CLUSTER", "ADDSLOTSRANGE", i*slots/primaries, (i+1)*slots/primaries-1)
		for _, replica := range shard[1:] {
			replica.must("CLUSTER", "REPLICATE", s.ids[shard[0]])
		}
	}
	for _, shard := range s.shards {
		for _, replica := range shard[1:] {
			replica.AwaitReplica(shard[0])
		}
	}
	await(t, "cluster", s.Nodes, s.settled)
	return s
}

// id returns the node's name in the cluster.
func (r *RedisProcess) id() string {
	r.t.Helper()
	id, err := r.must("CLUSTER", "MYID").Text()
	if err != nil {
		r.t.Fatalf("%s: CLUSTER MYID: %v", r.Addr, err)
	}
	return id
}

// meet introduces every node to every other one; gossip alone takes longer.
func (s *ClusterSet) meet() {
	s.t.Helper()
	for i, n := range s.Nodes {
		n.must("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		for _, other := range s.Nodes[:i] {
			n.must("CLUSTER", "MEET", "127.0.0.1", other.port)
		}
	}
	await(s.t, "cluster meeting", s.Nodes, func() error {
		for _, n := range s.Nodes {
			view, err := n.view()
			if err != nil {
				return err
			}
			for _, other := range s.Nodes {
				if m, ok := view[s.ids[other]]; !ok || m.has("handshake") {
					return fmt.Errorf("%s does not know %s", n.Addr, other.Addr)
				}
			}
		}
		return nil
	})
}

// settled says what is missing before every node serves and knows which are
// replicas.
func (s *ClusterSet) settled() error {
	for _, n := range s.Nodes {
		if err := n.serves(); err != nil {
			return err
		}
		view, err := n.view()
		if err != nil {
			return err
		}
		for _, shard := range s.shards {
			for _, replica := range shard[1:] {
				if got := view[s.ids[replica]].primary; got != s.ids[shard[0]] {
					return fmt.Errorf("%s takes %s for a replica of %s", n.Addr, replica.Addr, got)
				}
			}
		}
	}
	return nil
}

// serves says why the cluster is down for a node.
func (r *RedisProcess) serves() error {
	text, err := r.do("CLUSTER", "INFO").Text()
	if err != nil {
		return err
	}
	if !strings.Contains(text, "cluster_state:ok") {
		return fmt.Errorf("%s: %s", r.Addr, strings.ReplaceAll(text, "\r\n", " "))
	}
	return nil
}

// member is a node as another one sees it.
type member struct {
	flags   string
	primary string   // the id of the one that it is a replica of, or "-"
	ranges  []string // of slots, such as 0-5460
}

func (m member) has(flag string) bool { return slices.Contains(strings.Split(m.flags, ","), flag) }

// owns says whether a slot is the member's.
func (m member) owns(slot int64) bool {
	return slices.ContainsFunc(m.ranges, func(r string) bool {
		first, last, ok := strings.Cut(r, "-")
		if !ok {
			last = first
		}
		from, err1 := strconv.ParseInt(first, 10, 64)
		to, err2 := strconv.ParseInt(last, 10, 64)
		return err1 == nil && err2 == nil && from <= slot && slot <= to
	})
}

// view returns what a node knows about all of them, by their ids. See
// https://redis.io/docs/latest/commands/cluster-nodes/.
func (r *RedisProcess) view() (map[string]member, error) {
	text, err := r.do("CLUSTER", "NODES").Text()
	if err != nil {
		return nil, err
	}
	members := map[string]member{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 {
			return nil, fmt.Errorf("%s: CLUSTER NODES says %q", r.Addr, line)
		}
		members[f[0]] = member{flags: f[2], primary: f[3], ranges: f[8:]}
	}
	return members, nil
}

// PrimaryOf returns the node that has the slot of a key. It waits until all
// nodes that answer agree.
func (s *ClusterSet) PrimaryOf(key string) *RedisProcess {
	s.t.Helper()
	return s.awaitOwner(s.slot(key))
}

// slot asks for the slot of a key.
func (s *ClusterSet) slot(key string) int64 {
	s.t.Helper()
	for _, n := range s.Nodes {
		if slot, err := n.do("CLUSTER", "KEYSLOT", key).Int64(); err == nil {
			return slot
		}
	}
	s.t.Fatalf("no node answers\n%s", outputs(s.Nodes))
	return 0
}

func (s *ClusterSet) awaitOwner(slot int64) (owner *RedisProcess) {
	s.t.Helper()
	await(s.t, fmt.Sprintf("a primary for slot %d", slot), s.Nodes, func() (err error) {
		owner, err = s.owner(slot)
		return err
	})
	return owner
}

// owner returns the node that has a slot, for all nodes that answer.
func (s *ClusterSet) owner(slot int64) (*RedisProcess, error) {
	return s.agreed(func(m member, _ string) bool { return m.has("master") && m.owns(slot) })
}

// promoted returns the node of a shard that is its primary, for all nodes that
// answer.
func (s *ClusterSet) promoted(shard []*RedisProcess) (*RedisProcess, error) {
	return s.agreed(func(m member, id string) bool {
		return m.has("master") && len(m.ranges) > 0 &&
			slices.ContainsFunc(shard, func(n *RedisProcess) bool { return s.ids[n] == id })
	})
}

// agreed returns the one node that is wanted in the views of all nodes that
// answer, if they serve.
func (s *ClusterSet) agreed(wanted func(m member, id string) bool) (node *RedisProcess, err error) {
	for _, n := range s.Nodes {
		view, err := n.view()
		if err != nil {
			continue // it is paused or gone
		}
		if err := n.serves(); err != nil {
			return nil, err
		}
		got := s.find(func(id string) bool { return wanted(view[id], id) })
		if got == nil || node != nil && got != node {
			return nil, fmt.Errorf("%s does not agree with the others", n.Addr)
		}
		node = got
	}
	if node == nil {
		return nil, errors.New("no node answers")
	}
	return node, nil
}

// find returns the first node whose id it likes, or nil.
func (s *ClusterSet) find(likes func(id string) bool) *RedisProcess {
	for _, n := range s.Nodes {
		if likes(s.ids[n]) {
			return n
		}
	}
	return nil
}

// ReplicasOf returns the nodes that are replicas of primary now, as it sees it.
func (s *ClusterSet) ReplicasOf(primary *RedisProcess) []*RedisProcess {
	s.t.Helper()
	view, err := primary.view()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", primary.Addr, err, primary.proc.output)
	}
	var replicas []*RedisProcess
	for _, n := range s.Nodes {
		if view[s.ids[n]].primary == s.ids[primary] {
			replicas = append(replicas, n)
		}
	}
	return replicas
}

// AwaitFailover waits until a replica of old has its slots, for all nodes that
// answer, and returns it.
func (s *ClusterSet) AwaitFailover(old *RedisProcess) *RedisProcess {
	s.t.Helper()
	i := slices.IndexFunc(s.shards, func(shard []*RedisProcess) bool { return slices.Contains(shard, old) })
	var promoted *RedisProcess
	await(s.t, "failover from "+old.Addr, s.Nodes, func() (err error) {
		if promoted, err = s.promoted(s.shards[i]); err == nil && promoted == old {
			err = errors.New("it is the primary still")
		}
		return err
	})
	return promoted
}
