package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// onePolicy is what whoever uses a template must know.
const onePolicy = "A bucket has one policy, and this resource replaces the whole of it: statements that are there already have to be in it too."

// JSON renders statements as a bucket policy of their own.
func JSON(statements []Statement) ([]byte, error) {
	if err := checkOwned(statements); err != nil {
		return nil, err
	}
	text, err := newDocument(statements)
	return append(text, '\n'), err
}

// CloudFormation renders statements as a template with one AWS::S3::BucketPolicy ("AWS::S3::BucketPolicy", AWS
// CloudFormation Template Reference).
func CloudFormation(bucket string, statements []Statement) ([]byte, error) {
	if err := checkOwned(statements); err != nil {
		return nil, err
	}
	type document struct {
		Version   string
		Statement []Statement
	}
	type properties struct {
		Bucket         string
		PolicyDocument document
	}
	type resource struct {
		Type       string
		Properties properties
	}
	template, err := encode(struct {
		AWSTemplateFormatVersion string
		Description              string
		Resources                map[string]resource
	}{
		"2010-09-09", "The lock that s3gate puts on a bucket. " + onePolicy,
		map[string]resource{"S3GateLock": {"AWS::S3::BucketPolicy", properties{bucket, document{version2012, statements}}}},
	})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, template, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// Terraform renders statements as an aws_iam_policy_document and the aws_s3_bucket_policy that uses it, for
// the AWS provider of Terraform and OpenTofu. It takes no statement of certain principals, nor text with
// "&{", of which that document would make a variable.
func Terraform(bucket string, statements []Statement) ([]byte, error) {
	if err := checkOwned(statements); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n# Name those documents in source_policy_documents.\n", onePolicy)
	b.WriteString("data \"aws_iam_policy_document\" \"s3gate_lock\" {\n  version = \"" + version2012 + "\"\n")
	for i, s := range statements {
		if !s.Principal.everyone() || s.NotPrincipal.set() {
			return nil, fmt.Errorf("%s: applies to certain principals only", place(i, s.Sid))
		}
		b.WriteString("\n")
		s.terraform(&b)
	}
	fmt.Fprintf(&b, `}

resource "aws_s3_bucket_policy" "s3gate_lock" {
  bucket = %s
  policy = data.aws_iam_policy_document.s3gate_lock.json
}
`, hclString(bucket))
	if bytes.Contains(b.Bytes(), []byte("&{")) {
		return nil, errors.New(`"&{" begins a variable in Terraform's policy documents`)
	}
	return b.Bytes(), nil
}

// terraform writes a statement for everybody as a block.
func (s Statement) terraform(b *bytes.Buffer) {
	fmt.Fprintf(b, "  statement {\n    sid    = %s\n    effect = %s\n\n", hclString(s.Sid), hclString(s.Effect.String()))
	b.WriteString("    principals {\n      type        = \"*\"\n      identifiers = [\"*\"]\n    }\n\n")
	width := 0
	elements := []struct {
		name   string
		values Values
	}{{"actions", s.Action}, {"not_actions", s.NotAction}, {"resources", s.Resource}, {"not_resources", s.NotResource}}
	for _, e := range elements {
		if len(e.values) > 0 {
			width = max(width, len(e.name))
		}
	}
	for _, e := range elements {
		if len(e.values) > 0 {
			fmt.Fprintf(b, "    %-*s = %s\n", width, e.name, hclList(e.values))
		}
	}
	for _, op := range slices.Sorted(maps.Keys(s.Condition)) {
		for _, key := range slices.Sorted(maps.Keys(s.Condition[op])) {
			fmt.Fprintf(b, "\n    condition {\n      test     = %s\n      variable = %s\n      values   = %s\n    }\n",
				hclString(op), hclString(key), hclList(s.Condition[op][key]))
		}
	}
	b.WriteString("  }\n")
}

func hclList(values Values) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = hclString(v)
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// hclEscapes are what JSON's quoted strings and HCL's differ in: what begins a template, and two escapes.
var hclEscapes = strings.NewReplacer(`\\`, `\\`, `\b`, `\u0008`, `\f`, `\u000c`, "${", "$${", "%{", "%%{")

// hclString quotes text as HCL reads it ("Strings and templates", Terraform language).
func hclString(text string) string {
	quoted, err := encode(text)
	if err != nil {
		panic(err) // a string is always JSON
	}
	return hclEscapes.Replace(string(quoted))
}
