package s3gatetest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

const minioHelp = "minio (go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c, " +
	"then put it on PATH or name it in S3GATE_TEST_MINIO)"

// MinIO starts a MinIO server for the test, with an empty directory and random
// root credentials. The binary is the one that S3GATE_TEST_MINIO names, else
// the one on PATH, else .cache/bin/minio at the root of the repository. Its
// licence allows to run it beside us, not to import it.
func MinIO(t testing.TB) *Endpoint {
	t.Helper()
	path, err := findMinIO()
	Need(t, minioHelp, err)
	e := &Endpoint{Region: "us-east-1", AccessKey: "root" + rand.Text(), Secret: rand.Text()}
	dir := t.TempDir()
	env := []string{
		"MINIO_ROOT_USER=" + e.AccessKey,
		"MINIO_ROOT_PASSWORD=" + e.Secret,
		"MINIO_SITE_REGION=" + e.Region,
		"MINIO_UPDATE=off",
		"MINIO_BROWSER=off",
		"HOME=" + dir,
	}
	for range 5 {
		addr := loopback(freePort(t))
		p := launch(t, env, path, "server", "--quiet", "--address", addr,
			"--console-address", loopback(freePort(t)), filepath.Join(dir, "data"))
		e.URL = "http://" + addr
		if p.waitUntil(t, e.minioReady) {
			return e
		}
		err = fmt.Errorf("minio ended:\n%s", p.output)
	}
	t.Fatal(err)
	return nil
}

// minioReady asks what a load balancer asks, and whether writes are accepted.
func (e *Endpoint) minioReady() error {
	client := http.Client{Timeout: time.Second}
	for _, path := range []string{"/minio/health/ready", "/minio/health/cluster"} {
		res, err := client.Get(e.URL + path)
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return errors.New(path + ": " + res.Status)
		}
	}
	client.CloseIdleConnections()
	return nil
}

func findMinIO() (string, error) {
	if path := os.Getenv("S3GATE_TEST_MINIO"); path != "" {
		return exec.LookPath(path)
	}
	path, err := exec.LookPath("minio")
	if err == nil {
		return path, nil
	}
	root, rootErr := repositoryRoot()
	if rootErr != nil {
		return "", rootErr
	}
	name := "minio"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if cached, cacheErr := exec.LookPath(filepath.Join(root, ".cache", "bin", name)); cacheErr == nil {
		return cached, nil
	}
	return "", err
}

// repositoryRoot is the nearest directory upwards that has a go.mod.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}
