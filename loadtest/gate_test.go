package loadtest_test

import (
	"context"
	"testing"
	"time"

	"s3gate/internal/dev"
	"s3gate/loadtest"
)

// target starts a whole gate with its store.
func target(t *testing.T) loadtest.Target {
	t.Helper()
	env, err := dev.Start(t.Context(), dev.Options{
		PublicAddr: "127.0.0.1:0", APIAddr: "127.0.0.1:0", S3Addr: "127.0.0.1:0", DataDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { env.Close() })
	return loadtest.Target{LinksURL: env.Info.PublicURL, APIURL: env.Info.APIURL, Bearer: env.Info.APIToken, Bucket: env.Info.Bucket}
}

// small is a run of a scenario that takes little time and memory.
func small(to loadtest.Target, scenario string) loadtest.Config {
	return loadtest.Config{
		Target: to, Scenario: scenario, Duration: time.Minute, Operations: 6, Workers: 2, Size: 3 << 20, Clients: 4,
		Mix: map[string]int{"download-small": 1, "mint": 1},
	}
}

func run(t *testing.T, c loadtest.Config) *loadtest.Report {
	t.Helper()
	r, err := loadtest.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Every scenario shows all of its invariants on a gate that works.
func TestScenariosHold(t *testing.T) {
	to := target(t)
	for _, s := range loadtest.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			c := small(to, s.Name)
			if s.Name == "slow-clients" {
				c.Duration, c.Workers = 2*time.Second, 6
			}
			r := run(t, c)
			if !r.OK || r.Operations != 6 || r.Failed > 0 || r.Latency.Count != 6 {
				t.Errorf("%+v", r)
			}
			if len(r.Invariants) < 2 {
				t.Errorf("only these were looked at: %+v", r.Invariants)
			}
			for _, i := range r.Invariants {
				if !i.OK || i.Checked == 0 || i.Broken > 0 {
					t.Errorf("%+v", i)
				}
			}
		})
	}
}

// What a run is stopped in the middle of is reported, and judged.
func TestStoppedRunIsReported(t *testing.T) {
	c := small(target(t), "download-small")
	c.Operations = 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.Progress = func(loadtest.Progress) { cancel() }
	r, err := loadtest.Run(ctx, c)
	if err != nil || !r.OK || r.Operations == 0 || r.Failed > 0 || len(r.Timeline) == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWatchedProcesses(t *testing.T) {
	c := small(target(t), "download-small")
	c.PIDs = []int{1 << 30}
	if _, err := loadtest.Run(t.Context(), c); err == nil {
		t.Error("a process that there is not was watched")
	}
	c.PIDs = []int{thisProcess(t)}
	r := run(t, c)
	if len(r.Processes) != 1 || r.Processes[0].Peak < 1<<20 || r.Processes[0].Name == "" {
		t.Errorf("%+v", r.Processes)
	}
}
