package deploy_test

import (
	"strconv"
	"strings"
	"testing"
)

// What docs/limits.md says to count with.
const (
	forGate, forCache, forUploads   = 64 << 20, 64 << 20, 256 << 20
	forConnection, forTLSConnection = 40 << 10, 192 << 10
)

// Go is told less than the process may have, and so many connections fit into it.
func TestMemory(t *testing.T) {
	gate := compose(t).Services["gate-a"]
	environment, _ := gate.Environment.(map[string]any)
	told, _ := environment["GOMEMLIMIT"].(string)
	files := strconv.Itoa(gate.Ulimits.Nofile)
	drop, unit := read(t, "systemd", "memory.conf"), read(t, "systemd", "s3gate.service")
	gates := read(t, "terraform", "gate.tf")
	memory := find(t, gates, `\n  memory = (\d+)`)
	find(t, gates, `GOMEMLIMIT = "\${(floor\(local\.memory \* 4 / 5\))}MiB"`)
	opened := find(t, gates, `name = "nofile", softLimit = (\d+)`)
	for name, test := range map[string]struct {
		limit, told, connections, files string
		each                            int64
	}{
		"Compose": {gate.MemLimit, told, find(t, read(t, "compose", "s3gate.yaml"), `max_connections: (\d+)`), files, forConnection},
		"systemd": {
			find(t, drop, `\nMemoryMax=(\S+)`), find(t, drop, `GOMEMLIMIT=(\S+)`), find(t, drop, `MAX_CONNECTIONS=(\d+)`),
			find(t, unit, `\nLimitNOFILE=(\d+)`), forTLSConnection,
		},
		// There links.max_connections is the default.
		"Terraform": {
			memory + "MiB", strconv.FormatInt(size(t, memory)*4/5, 10) + "MiB", strconv.FormatInt(size(t, opened)/4, 10), opened, forConnection,
		},
	} {
		limit, told, connections := size(t, test.limit), size(t, test.told), size(t, test.connections)
		if told > limit*4/5 || told < limit*7/10 {
			t.Errorf("%s: Go is told of %d bytes, and may have %d", name, told, limit)
		}
		if need := connections*test.each + forGate + forCache + forUploads; need > told {
			t.Errorf("%s: %d connections take %d bytes of %d", name, connections, need, told)
		}
		if files := size(t, test.files); 4*connections > files {
			t.Errorf("%s: %d connections take more than %d files", name, connections, files)
		}
	}
}

// size reads 768m, 2G, 614MiB or 5000.
func size(t *testing.T, text string) int64 {
	t.Helper()
	digits := strings.TrimRight(text, "MGimB")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		t.Fatalf("%q is no size", text)
	}
	switch strings.TrimPrefix(text, digits) {
	case "m", "MiB":
		n <<= 20
	case "G":
		n <<= 30
	}
	return n
}

// The page has the numbers that the chart counts with, and the numbers that come of them.
func TestMemoryOnThePage(t *testing.T) {
	page, chart := read(t, root, "docs", "limits.md"), read(t, "helm", "s3gate", "templates", "_helpers.tpl")
	find(t, chart, `(ternary 196608 40960) `)
	for limit, row := range map[int64]string{768 << 20: "768 MiB", 2 << 30: "2 GiB", 8 << 30: "8 GiB"} {
		free := limit*4/5 - forGate - forCache - forUploads
		want := "| " + row + " | " + strconv.FormatInt(limit*4/5>>20, 10) + "MiB | " +
			thousands(free/forConnection/100*100) + " | " + thousands(free/forTLSConnection/100*100) + " |"
		if !strings.Contains(page, want) {
			t.Errorf("docs/limits.md has no %s", want)
		}
	}
}

// thousands writes 12,345.
func thousands(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	rest := strconv.FormatInt(1000+n%1000, 10)
	return thousands(n/1000) + "," + rest[1:]
}
