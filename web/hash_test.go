package web_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"s3gate/internal/s3gatetest"
)

// message is a pattern repeated to a length, that a script hashes in pieces.
type message struct {
	Pattern string `json:"pattern"` // in hex
	Length  int    `json:"length"`
	Pieces  []int  `json:"pieces"` // their lengths, in turn
	Want    string `json:"want"`
}

// The script's SHA-256 is that of FIPS 180-4, by its own examples, and
// whatever pieces a message comes in; also beyond 2³² bits.
func TestScriptSHA256(t *testing.T) {
	node, err := exec.LookPath("node")
	s3gatetest.Need(t, "node (apt-get install nodejs)", err)
	messages := []message{
		{"", 0, []int{1}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"616263", 3, []int{3}, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"6162636462636465636465666465666765666768666768696768696a68696a6b696a6b6c6a6b6c6d6b6c6d6e6c6d6e6f6d6e6f706e6f7071", 56, []int{56},
			"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
		{"61", 1_000_000, []int{1_000_000}, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
		{"61", 1_000_000, []int{63, 1, 64, 65, 7}, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
	}
	random := rand.NewChaCha8([32]byte{1})
	for length := range 200 {
		pattern := make([]byte, max(1, length))
		random.Read(pattern)
		messages = append(messages, message{hex.EncodeToString(pattern), length, []int{1 + length%67, 1 + length%5}, fmt.Sprintf("%x", sha256.Sum256(pattern[:length]))})
	}
	large := sha256.New()
	for range 513 {
		large.Write(make([]byte, 1<<20))
	}
	messages = append(messages, message{"00", 513 << 20, []int{1 << 20}, fmt.Sprintf("%x", large.Sum(nil))})

	asked, err := json.Marshal(messages)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "-e", read(t, "hash.js")+`
for (const { pattern, length, pieces, want } of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
	const whole = Buffer.alloc(Math.min(length, 1 << 20), pattern, "hex"), hash = new SHA256();
	for (let done = 0, i = 0; done < length; i++) {
		const at = length > whole.length ? 0 : done, piece = whole.subarray(at, at + Math.min(pieces[i % pieces.length], length - done));
		hash.update(piece);
		done += piece.length;
	}
	const got = hash.hex();
	if (got !== want) console.log(length + " bytes: " + got + ", want " + want);
}`)
	cmd.Stdin = strings.NewReader(string(asked))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
