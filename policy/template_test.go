package policy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"s3gate/policy"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, got\n%s\nwant %s\n%s", err, got, path, want)
	}
}

func templateStatements(t *testing.T, prefix string) []policy.Statement {
	t.Helper()
	statements, err := policy.LockStatements(policy.LockOptions{
		Bucket: "media", Prefix: prefix, RequireTLS: true, DenyOldSignatures: true, MaxURLAge: time.Hour,
		ExemptUsers: []string{"legacy"}, ExemptNetworks: []string{"192.0.2.0/24"}, QuerySigner: gateARN,
		OnlyPrincipals: []string{gateARN, "arn:aws:iam::111122223333:role/admin"}, OnlyEndpoints: []string{endpoint},
	})
	if err != nil {
		t.Fatal(err)
	}
	return statements
}

func TestTemplates(t *testing.T) {
	statements := templateStatements(t, "")
	text, err := policy.JSON(statements)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "lock.json", text)
	if _, err := policy.Parse(text); err != nil {
		t.Error(err)
	}
	if text, err = policy.CloudFormation("media", statements); err != nil {
		t.Fatal(err)
	}
	golden(t, "lock.cloudformation.json", text)
	var template struct {
		Resources struct {
			S3GateLock struct {
				Properties struct{ PolicyDocument json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Parse(template.Resources.S3GateLock.Properties.PolicyDocument); err != nil {
		t.Error(err)
	}
	if text, err = policy.Terraform("media", statements); err != nil {
		t.Fatal(err)
	}
	golden(t, "lock.tf", text)
}

// What a key may hold does not become a part of the template.
func TestTerraformEscapes(t *testing.T) {
	text, err := policy.Terraform("media", templateStatements(t, "%{a}\"\\b\b/"))
	if err != nil || !strings.Contains(string(text), `["arn:aws:s3:::media/%%{a}\"\\b\u0008/*"]`) {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err := policy.Terraform("media", templateStatements(t, "&{a}")); err == nil {
		t.Errorf("made a variable of a prefix:\n%s", text)
	}
}

func TestTemplatesRefuse(t *testing.T) {
	foreign := []policy.Statement{own("Theirs", "s3:*")}
	certain := own("S3GateA", "s3:*")
	certain.Principal = policy.Principals{AWS: policy.Values{account}}
	for name, render := range map[string]func([]policy.Statement) ([]byte, error){
		"json":           policy.JSON,
		"cloudformation": func(s []policy.Statement) ([]byte, error) { return policy.CloudFormation("media", s) },
		"terraform":      func(s []policy.Statement) ([]byte, error) { return policy.Terraform("media", s) },
	} {
		if text, err := render(foreign); err == nil {
			t.Errorf("%s renders statements that are not ours: %s", name, text)
		}
	}
	if text, err := policy.Terraform("media", []policy.Statement{certain}); err == nil {
		t.Errorf("a statement for certain principals became one for all: %s", text)
	}
}
