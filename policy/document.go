// Package policy reads, evaluates and edits IAM policy documents as S3 buckets carry them.
//
// [Parse] reads a document as strictly as PutBucketPolicy does, [Document.Evaluate] answers what it says
// of one request and [Document.Explain] why, [LockStatements] writes the statements that shut presigned
// URLs out of a bucket, and [Merge] and [Remove] put them into a policy somebody else wrote and take them
// out again, leaving every byte that is not ours as it was. [Diff] shows a person what would change.
//
// The invariant: no statement made here ever denies reading, writing or deleting the bucket policy, so
// nobody locks themselves out.
//
// The package talks to nothing and evaluates bucket policies alone: identity policies, permission
// boundaries, access control lists, and what a caller may do without any of them, are the store's business.
// What it cannot evaluate it refuses by name, or lists in [Document.Warnings].
package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxSize is the largest policy S3 stores for a bucket, in bytes ("Bucket policies for Amazon S3",
// Amazon S3 User Guide: 20 KB).
const MaxSize = 20 << 10

var (
	// ErrMalformed is wrapped by every error about a document that S3 refuses with MalformedPolicy. The
	// error text names the element at fault and is fit to be shown to whoever wrote the document.
	ErrMalformed = errors.New("malformed policy")

	// ErrTooLarge is wrapped by errors about documents over [MaxSize] and wraps [ErrMalformed].
	ErrTooLarge = fmt.Errorf("%w: too large", ErrMalformed)
)

// The versions of the policy language ("IAM JSON policy elements: Version", IAM User Guide). Variables
// exist only in the later one.
const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

// A Document is a parsed bucket policy. It is immutable and safe for concurrent use; nil stands for a
// bucket without a policy and decides nothing.
type Document struct {
	statements []Statement
	rules      []rule // rules[i] is statements[i], compiled
	variables  bool   // the version of the language has them
}

// Statements returns the statements in the order of the text. They share memory with the document and
// must not be modified.
func (d *Document) Statements() []Statement {
	if d == nil {
		return nil
	}
	return slices.Clone(d.statements)
}

// Parse reads a policy document strictly, as S3 does: unknown elements, operators and versions, duplicate
// keys and Sids, principals that cannot exist, missing elements and more than [MaxSize] bytes are refused,
// and so are condition values that could never be compared, such as an address range that is none.
// Errors wrap [ErrMalformed] and name the element. ("Grammar of the IAM JSON policy language" and "IAM
// policy validation check reference", IAM User Guide.)
func Parse(doc []byte) (*Document, error) {
	d, err := ParseStored(doc)
	for i, s := range d.Statements() {
		if gone := append(s.Principal.deleted(), s.NotPrincipal.deleted()...); len(gone) > 0 {
			return nil, fmt.Errorf("%w: %s: %q is what remains of a deleted user or role", ErrMalformed, place(i, s.Sid), gone[0])
		}
	}
	return d, err
}

// ParseStored reads a policy that a bucket has already. It is as strict as [Parse], but lets principals
// pass that S3 shows by a unique identifier because the user or role has been deleted: S3 refuses to store
// such a document again, and evaluates it meanwhile. They match nobody.
func ParseStored(doc []byte) (*Document, error) {
	d, err := parse(doc)
	if err != nil && !errors.Is(err, ErrMalformed) {
		err = fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return d, err
}

func parse(doc []byte) (*Document, error) {
	switch {
	case len(doc) > MaxSize:
		return nil, tooLarge(len(doc))
	case len(doc) == 0 || doc[0] != '{':
		return nil, errors.New("the first byte must be '{'")
	case !utf8.Valid(doc):
		return nil, errors.New("not UTF-8")
	}
	if err := checkSyntax(doc); err != nil {
		return nil, err
	}
	top, err := members(doc)
	if err != nil {
		return nil, err
	}
	version, err := checkTop(top)
	if err != nil {
		return nil, err
	}
	raw, ok := value(top, "Statement")
	if !ok {
		return nil, errors.New("Statement: missing")
	}
	return compile(raw, version == version2012)
}

// MarshalJSON writes the document anew: with its version, without its Id, and with every statement in the
// form [Statement] gives it. It says the same as the text that was parsed. Nil is null.
func (d *Document) MarshalJSON() ([]byte, error) {
	if d == nil {
		return []byte("null"), nil
	}
	version := version2008
	if d.variables {
		version = version2012
	}
	return encode(struct {
		Version   string
		Statement []Statement
	}{version, d.statements})
}

// checkTop returns the document's version, refusing top-level elements that S3 does not know or that have
// the wrong form.
func checkTop(top []member) (version string, err error) {
	if err := distinct(top); err != nil {
		return "", err
	}
	for _, m := range top {
		switch m.name {
		case "Statement":
		case "Id":
			_, err = decodeString(m.value)
		case "Version":
			version, err = decodeString(m.value)
			if err == nil && version != version2008 && version != version2012 {
				err = fmt.Errorf("%q is neither %s nor %s", version, version2012, version2008)
			}
		default:
			err = errors.New("unknown element")
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return version, nil
}

// compile reads the Statement element: one statement or a list of them.
func compile(raw json.RawMessage, variables bool) (*Document, error) {
	list := []item{{value: raw}}
	if raw[0] != '{' {
		var err error
		if list, err = items(raw); err != nil {
			return nil, fmt.Errorf("Statement: %w", err)
		}
		if len(list) == 0 {
			return nil, errors.New("Statement: empty list")
		}
	}
	d := &Document{variables: variables}
	sids := map[string]bool{}
	for i, it := range list {
		s, err := decodeStatement(it.value)
		if err == nil && s.Sid != "" && sids[s.Sid] {
			//lint:ignore ST1005 it begins with the name of the element
			err = errors.New("Sid: used by an earlier statement")
		}
		sids[s.Sid] = true
		var r rule
		if err == nil {
			r, err = newRule(s, variables)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", place(i, s.Sid), err)
		}
		d.statements, d.rules = append(d.statements, s), append(d.rules, r)
	}
	return d, nil
}

// CheckBucket reports an error when a statement names a resource outside bucket, which makes
// PutBucketPolicy answer MalformedPolicy: only the bucket's own ARN, its objects, and patterns that begin
// with its name are accepted, in any partition. Errors wrap [ErrMalformed].
func (d *Document) CheckBucket(bucket string) error {
	for i, s := range d.Statements() {
		for _, list := range []struct {
			name   string
			values Values
		}{{"Resource", s.Resource}, {"NotResource", s.NotResource}} {
			for _, arn := range list.values {
				if !inBucket(arn, bucket) {
					return fmt.Errorf("%w: %s: %s: %q lies outside bucket %q", ErrMalformed, place(i, s.Sid), list.name, arn, bucket)
				}
			}
		}
	}
	return nil
}

func inBucket(arn, bucket string) bool {
	f := strings.SplitN(arn, ":", 6)
	if len(f) < 6 || !strings.HasPrefix(f[1], "aws") || f[2] != "s3" || f[3] != "" || f[4] != "" {
		return false
	}
	rest, ok := strings.CutPrefix(f[5], bucket)
	return ok && (rest == "" || rest[0] == '/' || rest[0] == '*')
}

// Bucket returns the partition and the name of the one bucket that all statements are about; ok is false
// when a resource is a pattern of names, or they name several.
func (d *Document) Bucket() (partition, name string, ok bool) {
	for _, s := range d.Statements() {
		for _, arn := range slices.Concat(s.Resource, s.NotResource) {
			f := strings.SplitN(arn, ":", 6)
			if len(f) < 6 || f[2] != "s3" {
				return "", "", false
			}
			bucket, _, _ := strings.Cut(f[5], "/")
			if strings.ContainsAny(bucket, "*?$") || name != "" && (bucket != name || f[1] != partition) {
				return "", "", false
			}
			partition, name = f[1], bucket
		}
	}
	return partition, name, name != ""
}

// place names a statement in an error: by position, and by Sid where it has one.
func place(i int, sid string) string {
	if sid == "" {
		return fmt.Sprintf("Statement[%d]", i)
	}
	return fmt.Sprintf("Statement[%d] (Sid %q)", i, sid)
}

func tooLarge(size int) error {
	return fmt.Errorf("%w: %d bytes, S3 stores at most %d", ErrTooLarge, size, MaxSize)
}
