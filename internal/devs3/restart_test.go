package devs3_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"s3gate/internal/devs3"
	"s3gate/internal/devs3/disk"
)

func TestRestartKeepsObjectsAndPolicies(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	c := client(t, s.URL, "ADMINKEY")
	createBucket(t, c)
	in := &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("dir/ü +"), Body: strings.NewReader("data"), ContentType: aws.String("text/x"), Metadata: map[string]string{"a": "b"}}
	if _, err := c.PutObject(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::the-bucket/*","Condition":{"StringEquals":{"s3:authType":"REST-QUERY-STRING"}}}]}`
	if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(bucket), Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("up")})
	if err != nil {
		t.Fatal(err)
	}
	part := &s3.UploadPartInput{Bucket: aws.String(bucket), Key: aws.String("up"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part")}
	if _, err := c.UploadPart(t.Context(), part); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = start(t, dir)
	c = client(t, s.URL, "ALICEKEY")
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: in.Key})
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(out.Body)
	if err != nil || string(data) != "data" || aws.ToString(out.ContentType) != "text/x" || out.Metadata["a"] != "b" {
		t.Errorf("GetObject: %q %+v %v", data, out, err)
	}
	got, err := client(t, s.URL, "ADMINKEY").GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: aws.String(bucket)})
	if err != nil || aws.ToString(got.Policy) != policy {
		t.Errorf("GetBucketPolicy: %v, %v", got, err)
	}
	url, err := s3.NewPresignClient(c).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: in.Key})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(url.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("presigned GET: got %d, want 403", res.StatusCode)
	}
	part.Body = strings.NewReader("part")
	if _, err := c.UploadPart(t.Context(), part); err == nil || !strings.Contains(err.Error(), "NoSuchUpload") {
		t.Errorf("a part of an upload from before: got %v, want NoSuchUpload", err)
	}
}

// TestUnreadablePolicyDeniesAll: what protected a bucket must not stop to
// because its document was damaged.
func TestUnreadablePolicyDeniesAll(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	createBucket(t, client(t, s.URL, "ADMINKEY"))
	if err := put(t.Context(), client(t, s.URL, "ALICEKEY"), "k", "x"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.WriteFile(filepath.Join(dir, "buckets", "b-"+bucket, "policy.json"), []byte("{damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, dir)
	if err := put(t.Context(), client(t, s.URL, "ALICEKEY"), "k", "x"); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("PUT: got %v, want AccessDenied", err)
	}
	c := client(t, s.URL, "ADMINKEY")
	if _, err := c.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: aws.String(bucket)}); err != nil {
		t.Errorf("the admin's way out: %v", err)
	}
	if err := put(t.Context(), client(t, s.URL, "ALICEKEY"), "k", "x"); err != nil {
		t.Errorf("PUT afterwards: %v", err)
	}
}

// childDir names the directory that the test binary serves instead of testing.
const childDir = "DEVS3_TEST_CHILD_DIR"

// serveIfChild makes of the test binary a server that can be killed.
func serveIfChild() {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	s, err := devs3.Start(devs3.Config{Dir: dir, Users: users}, "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.URL)
	io.Copy(io.Discard, os.Stdin) // until the parent is gone
	os.Exit(0)
}

// TestKilledServerLosesNothing kills a server in the middle of writing, again
// and again. What it had acknowledged must be there, whole; of the rest there
// may be all or nothing, and no litter.
func TestKilledServerLosesNothing(t *testing.T) {
	for name, state := range map[string]types.BucketVersioningStatus{
		"unversioned": "", "versioned": types.BucketVersioningStatusEnabled, "suspended": types.BucketVersioningStatusSuspended,
	} {
		t.Run(name, func(t *testing.T) { testKills(t, state) })
	}
}

func testKills(t *testing.T, state types.BucketVersioningStatus) {
	dir := t.TempDir()
	acknowledged := map[string]int{} // key → version
	for round := range 5 {
		url, kill := child(t, dir)
		c := client(t, url, "ADMINKEY")
		if round == 0 {
			createBucket(t, c)
			setVersioning(t, c, state)
		}
		writeUntil(t, c, round, time.Duration(20+30*round)*time.Millisecond, kill, acknowledged)

		s := start(t, dir)
		c = client(t, s.URL, "ADMINKEY")
		for key, version := range acknowledged {
			checkVersion(t, c, key, version)
		}
		list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Contents {
			checkVersion(t, c, *o.Key, acknowledged[*o.Key])
		}
		versions, err := c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: aws.String(bucket)})
		if err != nil || aws.ToBool(versions.IsTruncated) {
			t.Fatalf("ListObjectVersions: %d versions, %v", len(versions.Versions), err)
		}
		s.Close()
		files, err := os.ReadDir(filepath.Join(dir, "data"))
		if err != nil || len(files) != len(versions.Versions) {
			t.Errorf("round %d: %d versions, %d files of data, %v", round, len(versions.Versions), len(files), err)
		}
		if total := total(acknowledged, round); state == types.BucketVersioningStatusEnabled && len(files) < total {
			t.Errorf("round %d: %d files of data, %d versions were acknowledged", round, len(files), total)
		}
	}
	if len(acknowledged) == 0 {
		t.Error("no write was acknowledged: nothing was tested")
	}
}

// total is how many writes of a round were acknowledged: versions count from one.
func total(acknowledged map[string]int, round int) (n int) {
	for _, version := range acknowledged {
		if version > round*1_000_000 {
			n += version - round*1_000_000
		}
	}
	return n
}

func setVersioning(t *testing.T, c *s3.Client, state types.BucketVersioningStatus) {
	t.Helper()
	if state == "" {
		return
	}
	_, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: aws.String(bucket), VersioningConfiguration: &types.VersioningConfiguration{Status: state}})
	if err != nil {
		t.Fatal(err)
	}
}

// child starts a server in a process of its own.
func child(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
		in.Close()
	})
	t.Cleanup(kill)
	url, err = bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(url, "http") {
		t.Fatalf("the child says %q, %v", url, err)
	}
	return strings.TrimSpace(url), kill
}

// writeUntil overwrites a few objects from several sides until the server is
// killed.
func writeUntil(t *testing.T, c *s3.Client, round int, after time.Duration, kill func(), acknowledged map[string]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var mu sync.Mutex
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			key := fmt.Sprint("key", w)
			for version := round*1_000_000 + 1; put(ctx, c, key, versionData(version)) == nil; version++ {
				mu.Lock()
				acknowledged[key] = version
				mu.Unlock()
			}
		})
	}
	time.Sleep(after)
	kill()
	writers.Wait()
}

// versionData is what an object is written with: itself says which version it is.
func versionData(version int) string {
	return strings.Repeat(fmt.Sprintf("%08d ", version), 20_000)
}

// checkVersion wants a whole object of at least that version: a later one may
// have been stored without anybody hearing of it.
func checkVersion(t *testing.T, c *s3.Client, key string, least int) {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		t.Errorf("%s: %v", key, err)
		return
	}
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	if err != nil {
		t.Errorf("%s: %v", key, err)
		return
	}
	version, _ := strconv.Atoi(string(data[:min(8, len(data))]))
	if version < least || !bytes.Equal(data, []byte(versionData(version))) {
		t.Errorf("%s: %d bytes of version %d, acknowledged was %d", key, len(data), version, least)
	}
}

func TestOneServerPerDirectory(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	if _, err := devs3.Open(devs3.Config{Dir: dir}); !errors.Is(err, disk.ErrInUse) {
		t.Fatalf("a second Open: got %v, want %v", err, disk.ErrInUse)
	}
	s.Close()
	again, err := devs3.Open(devs3.Config{Dir: dir})
	if err != nil {
		t.Fatalf("Open after Close: %v", err)
	}
	again.Close()
}

func TestManyObjectsOpenFast(t *testing.T) {
	dir := t.TempDir()
	store, err := disk.Open(dir, discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		d, err := store.Create()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Put(bucket, disk.Object{Key: fmt.Sprint("dir/", i)}, d, nil); err != nil {
			t.Fatal(err)
		}
	}
	store.Close()
	begun := time.Now()
	s, err := devs3.Open(devs3.Config{Dir: dir})
	took := time.Since(begun)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	t.Logf("1,000 objects opened in %v", took)
	if took > 300*time.Millisecond {
		t.Errorf("1,000 objects opened in %v, want under 300 ms", took)
	}
}
