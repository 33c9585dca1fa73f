package s3gatetest_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"s3gate/internal/s3gatetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask sends a command to Redis and returns the first line of the answer.
func ask(addr, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
	fmt.Fprintf(conn, "%s\r\n", command)
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}

func TestRedisLivesAsLongAsTheTest(t *testing.T) {
	var addr string
	t.Run("test", func(t *testing.T) {
		addr = s3gatetest.Redis(t)
		if got, err := ask(addr, "PING"); err != nil || got != "+PONG" {
			t.Errorf("PING: %q, %v", got, err)
		}
	})
	if addr == "" {
		t.Skip("no Redis")
	}
	if got, err := ask(addr, "PING"); err == nil {
		t.Errorf("PING after the test: %q", got)
	}
}

func TestRedisProcess(t *testing.T) {
	r := s3gatetest.RedisServer(t, "--appendonly", "yes")
	set := func(value string) {
		t.Helper()
		if got, err := ask(r.Addr, "SET k "+value); err != nil || got != "+OK" {
			t.Fatalf("SET: %q, %v", got, err)
		}
	}
	set("1")
	r.Pause()
	if got, err := ask(r.Addr, "PING"); err == nil {
		t.Errorf("PING while paused: %q", got)
	}
	r.Resume()
	if got, err := ask(r.Addr, "PING"); err != nil || got != "+PONG" {
		t.Errorf("PING afterwards: %q, %v", got, err)
	}
	r.Pause()
	r.Restart()
	if got, err := ask(r.Addr, "EXISTS k"); err != nil || got != ":1" {
		t.Errorf("EXISTS after Restart: %q, %v", got, err)
	}
	r.Kill()
	if got, err := ask(r.Addr, "PING"); err == nil {
		t.Errorf("PING after Kill: %q", got)
	}
	r.Restart()
	set("2")
	r.Stop()
	r.Stop()
}

func TestTwoRedisAtOnce(t *testing.T) {
	a, b := s3gatetest.Redis(t), s3gatetest.Redis(t)
	if a == b {
		t.Errorf("both are %s", a)
	}
}

func TestMinIOAnswers(t *testing.T) {
	e := s3gatetest.MinIO(t)
	res, err := http.Get(e.URL + "/minio/health/live")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if res.StatusCode != http.StatusOK {
		t.Errorf("got %s", res.Status)
	}
}

func TestDevS3Answers(t *testing.T) {
	e := s3gatetest.DevS3(t)
	res, err := http.Get(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("an anonymous request got %s", res.Status)
	}
}

// verdict is a test that remembers how it ended.
type verdict struct {
	testing.TB
	skipped, failed string
}

func (v *verdict) Helper() {}

func (v *verdict) Skipf(format string, a ...any) {
	v.skipped = fmt.Sprintf(format, a...)
	runtime.Goexit()
}

func (v *verdict) Fatalf(format string, a ...any) {
	v.failed = fmt.Sprintf(format, a...)
	runtime.Goexit()
}

func TestNeed(t *testing.T) {
	missing := &exec.Error{Name: "thing", Err: errors.New("not found")}
	for _, tt := range []struct {
		ci              string
		err             error
		skipped, failed bool
	}{
		{"", nil, false, false},
		{"true", nil, false, false},
		{"", missing, true, false},
		{"true", missing, false, true},
	} {
		t.Setenv("CI", tt.ci)
		v := &verdict{TB: t}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s3gatetest.Need(v, "thing (install it)", tt.err)
		}()
		<-ended
		if (v.skipped != "") != tt.skipped || (v.failed != "") != tt.failed {
			t.Errorf("CI=%q, %v: skipped %q, failed %q", tt.ci, tt.err, v.skipped, v.failed)
		}
		if why := v.skipped + v.failed; tt.err != nil && !(strings.Contains(why, "thing (install it)") && strings.Contains(why, "not found")) {
			t.Errorf("it says only %q", why)
		}
	}
}
