package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/policy"
)

func newBucketExplain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain [BUCKET]",
		Short: "Say what a bucket's policy makes of a request, and which statement decides",
		Long: `Evaluate a bucket policy for one request, statement by statement. The policy is the
bucket's, or with --policy a file, and then nothing is asked over the network.

The request is one of the standard requests by its name (--request, or --all for
the eleven of them; --key, --source-ip and --vpce are theirs too), a URL, "METHOD URL",
a whole HTTP request or a description in JSON in a file (or - for stdin), or is
described by flags. Flags change what a URL or a file says.
Signatures are not looked at, and never printed.

What identity policies say is not known here: who belongs to the bucket's account is
allowed unless the policy denies, others need a statement that allows.

Exit code 0 if the request is allowed, 3 if not. With --all, 0 if all eleven are as with
a locked bucket.`,
		Example: `  s3gate bucket explain docs --all --gate arn:aws:iam::111122223333:role/s3gate
  s3gate bucket explain --policy policy.json --request presigned-get-by-admin
  s3gate bucket explain --policy policy.json --request 'https://docs.s3.amazonaws.com/a.pdf?X-Amz-Algorithm=…'
  s3gate bucket explain docs --action GetObject --key a.pdf --as anonymous --plain-http`,
		Args: cobra.MaximumNArgs(1),
	}
	bucketFlags(cmd)
	f := cmd.Flags()
	file := f.String("policy", "", "a file with the policy, or - for stdin")
	request := f.String("request", "", "the request: a standard one, a URL, or a file (- for stdin)")
	all := f.Bool("all", false, "the eleven standard requests")
	var w who
	f.StringVar(&w.owner, "owner", "", "the account that owns the bucket (default: that of the gate, the admin or the caller)")
	f.StringVar(&w.gate, "gate", "", "the ARN the gate signs as (default: the configuration's)")
	f.StringVar(&w.admin, "admin", "", "the ARN of an administrator")
	var a asking
	f.StringVar(&a.As, "as", "", `who asks: an ARN, an account, a service, "gate", "admin" or "anonymous" (default: admin)`)
	f.StringVar(&a.Action, "action", "", "the action, such as GetObject")
	f.StringVar(&a.Key, "key", "", "the object's key")
	f.StringVar(&a.Auth, "auth", "", "how it is signed: header, presigned, post or none (default: header)")
	f.BoolVar(&a.OldSignature, "signature-v2", false, "it is signed with Signature Version 2")
	f.BoolVar(&a.PlainHTTP, "plain-http", false, "it comes without TLS")
	f.StringVar(&a.SourceIP, "source-ip", "", "the address it comes from")
	f.StringVar(&a.VPCE, "vpce", "", "the VPC endpoint it comes through")
	f.StringVar(&a.Age, "age", "", "how long ago it was presigned, such as 10m")
	f.StringArrayVar(&a.set, "condition", nil, "a condition key=value; may be repeated, also for one key; key= drops it")
	signing := f.String("signing", "", "how the gate signs: header or query (default: the configuration's, or header)")
	choices(cmd, "auth", guard.AuthHeader, guard.AuthPresigned, guard.AuthPost, guard.AuthNone)
	choices(cmd, "signing", "header", "query")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *all == (*request != "" || a.Action != "") {
			return usagef("say which request: --request, --action or --all")
		}
		if *file == "-" && *request == "-" {
			return usagef("the policy and the request cannot both be read from stdin")
		}
		x, err := newExplainer(cmd, args, *file)
		if err != nil {
			return err
		}
		if err := x.introduce(w, a, cmp.Or(*signing, x.signing)); err != nil {
			return err
		}
		if *all {
			if err := x.unchanged(); err != nil {
				return err
			}
			return x.explainAll()
		}
		return x.explainOne(*request, a)
	}
	return cmd
}

// An explainer explains what one policy makes of requests.
type explainer struct {
	cmd       *cobra.Command
	doc       *policy.Document // nil: none
	bucket    string           // empty: as the request says
	partition string
	principal string // the gate's, by the configuration
	signing   string
	standard  guard.StandardOptions
	owner     string
}

// newExplainer reads the policy, from a file or from the bucket.
func newExplainer(cmd *cobra.Command, args []string, file string) (*explainer, error) {
	x := &explainer{cmd: cmd, partition: "aws"}
	if len(args) > 0 {
		x.bucket = args[0]
	}
	text, err := x.read(file)
	if err != nil {
		return nil, err
	}
	if text != nil {
		if x.doc, err = policy.ParseStored(text); err != nil {
			return nil, fmt.Errorf("reading the policy: %w", err)
		}
	}
	if partition, bucket, ok := x.doc.Bucket(); ok {
		x.partition = partition
		x.bucket = cmp.Or(x.bucket, bucket)
	}
	return x, nil
}

func (x *explainer) read(file string) ([]byte, error) {
	if file != "" {
		return readFile(x.cmd, file, policy.MaxSize)
	}
	if x.bucket == "" {
		return nil, usagef("say which policy: BUCKET, or --policy FILE")
	}
	bucket, settings, err := openBucket(x.cmd, x.bucket)
	if err != nil {
		return nil, err
	}
	defer bucket.Close()
	x.bucket, x.principal, x.signing = bucket.Name(), settings.Principal, settings.Signing
	return bucket.Policy(x.cmd.Context())
}

// readFile reads a small file, or stdin for "-".
func readFile(cmd *cobra.Command, path string, limit int64) ([]byte, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, usageError{err}
		}
		defer file.Close()
		in = file
	}
	raw, err := io.ReadAll(io.LimitReader(in, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", path, err)
	case int64(len(raw)) > limit:
		return nil, fmt.Errorf("reading %s: more than %d bytes", path, limit)
	}
	return raw, nil
}

// who is whom the flags name.
type who struct{ owner, gate, admin string }

// The account of examples in AWS's documentation stands for one that is not known.
const exampleAccount = "111122223333"

// introduce finds out who the gate, an administrator and the bucket's owner are. Whom nobody names is made
// up, which matters only to policies that make exceptions.
func (x *explainer) introduce(w who, a asking, signing string) error {
	if signing != "" && signing != "header" && signing != "query" {
		return usagef("--signing %q is neither header nor query", signing)
	}
	w.gate = cmp.Or(w.gate, x.principal)
	x.owner = w.owner
	for _, name := range []string{w.gate, w.admin, a.As} {
		if p, err := policy.ParsePrincipal(name); err == nil {
			x.owner = cmp.Or(x.owner, p.AccountID())
		}
	}
	x.owner = cmp.Or(x.owner, exampleAccount)
	iam := "arn:" + x.partition + ":iam::" + x.owner + ":"
	x.standard = guard.StandardOptions{
		Bucket: x.bucket, Partition: x.partition, QuerySigning: signing == "query",
		Key: a.Key, SourceIP: a.SourceIP, SourceVPCE: a.VPCE,
	}
	for _, p := range []struct {
		flag, name, otherwise string
		into                  *policy.Principal
	}{
		{"owner", x.owner, "", new(policy.Principal)},
		{"gate", w.gate, iam + "role/s3gate", &x.standard.Gate},
		{"admin", w.admin, iam + "user/admin", &x.standard.Admin},
	} {
		var err error
		if *p.into, err = policy.ParsePrincipal(cmp.Or(p.name, p.otherwise)); err != nil {
			return usagef("--%s: %v", p.flag, err)
		}
	}
	return nil
}

// explainedRequest is what became of one request, as JSON.
type explainedRequest struct {
	Name       string           `json:"name,omitempty"` // of a standard request
	Request    seenRequest      `json:"request"`
	Allowed    bool             `json:"allowed"`
	Expected   *bool            `json:"expected,omitempty"` // by a locked bucket, of a standard request
	Reason     string           `json:"reason"`
	Effect     string           `json:"effect"` // of the bucket policy alone
	Statements []policy.Verdict `json:"statements"`
	Warnings   []policy.Warning `json:"warnings,omitempty"`
	Notes      []string         `json:"notes,omitempty"`
}

// seenRequest is what the policy sees of it.
type seenRequest struct {
	Action    string         `json:"action"`
	Resource  string         `json:"resource"`
	Principal string         `json:"principal"`
	Owner     string         `json:"owner"` // of the bucket, an account
	Context   policy.Context `json:"context"`
}

func (x *explainer) explain(r policy.Request) explainedRequest {
	j := guard.Judge(x.doc, x.owner, r)
	return explainedRequest{
		Request: seenRequest{r.Action, r.Resource, r.Principal.String(), x.owner, r.Context},
		Allowed: j.Allowed, Reason: j.Reason, Effect: j.Trace.Effect.String(), Statements: slices.Concat([]policy.Verdict{}, j.Trace.Statements),
	}
}

func (x *explainer) explainOne(text string, a asking) error {
	r, notes, err := x.request(text, a)
	if err != nil {
		return err
	}
	e := x.explain(r)
	e.Warnings, e.Notes = x.doc.Warnings(), notes
	for _, key := range slices.Sorted(maps.Keys(r.Context)) {
		if !policy.KnownKey(key) {
			e.Notes = append(e.Notes, fmt.Sprintf("S3 knows no key %q", key))
		}
	}
	if err := newPrinter(x.cmd).print(e, e.print); err != nil {
		return err
	}
	if !e.Allowed {
		return errNo
	}
	return nil
}

// print tells a person.
func (e *explainedRequest) print(p *printer) {
	sayWarnings(p, e.Warnings)
	for _, n := range e.Notes {
		p.say("note: %s", plain(n))
	}
	fmt.Fprintf(p.out, "%s: %s\n\n", allowedWord(e.Allowed), plain(e.Reason))
	t := p.table()
	fmt.Fprintf(t, "action\t%s\nresource\t%s\nas\t%s\nowner\t%s\n", plain(e.Request.Action), plain(e.Request.Resource), plain(e.Request.Principal), e.Request.Owner)
	for _, key := range slices.Sorted(maps.Keys(e.Request.Context)) {
		fmt.Fprintf(t, "%s\t%s\n", plain(key), plain(strings.Join(e.Request.Context[key], ", ")))
	}
	t.Flush()
	fmt.Fprintln(p.out)
	t = p.table()
	defer t.Flush()
	if len(e.Statements) == 0 {
		fmt.Fprintln(p.out, "the bucket has no policy")
	}
	for _, s := range e.Statements {
		printVerdict(t, s)
	}
}

// printVerdict prints what one statement says, and all that keeps it from matching.
func printVerdict(t io.Writer, s policy.Verdict) {
	name, effect := statementName(s.Index, s.Sid), s.Effect.String()
	switch {
	case s.Decides:
		fmt.Fprintf(t, "%s\t%s\tmatches, and decides\n", name, effect)
	case s.Matches:
		fmt.Fprintf(t, "%s\t%s\tmatches, and another decides\n", name, effect)
	}
	for _, m := range s.Misses {
		fmt.Fprintf(t, "%s\t%s\tdoes not match: %s\n", name, effect, m)
		name, effect = "", ""
	}
}

func statementName(index int, sid string) string {
	return plain(guard.StatementName(policy.Decision{Index: index, Sid: sid}))
}

func sayWarnings(p *printer, list []policy.Warning) {
	for _, w := range list {
		p.say("warning: %s: %s", statementName(w.Index, w.Sid), plain(w.Text))
	}
}

func allowedWord(allowed bool) string {
	if allowed {
		return "allowed"
	}
	return "refused"
}

// explainAll explains the standard requests. It fails when one of them is not as with a locked bucket.
func (x *explainer) explainAll() error {
	if x.bucket == "" {
		return usageError{errNoBucket}
	}
	list, err := x.standardRequests()
	if err != nil {
		return err
	}
	p := newPrinter(x.cmd)
	sayWarnings(p, x.doc.Warnings())
	t, wrong := p.table(), 0
	for _, r := range list {
		e := x.explain(r.Request)
		e.Name, e.Expected = r.Name, &r.Allowed
		mark := "ok"
		if e.Allowed != r.Allowed {
			mark, wrong = "NOT OK", wrong+1
		}
		err := p.print(e, func(*printer) {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", mark, r.Name, allowedWord(e.Allowed), plain(e.Reason))
		})
		if err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	if wrong == 0 {
		p.say("all %d as with a locked bucket", len(list))
		return nil
	}
	p.say("%d of %d are not as with a locked bucket", wrong, len(list))
	return errNo
}

var errNoBucket = errors.New("the policy is not of one bucket: say which with BUCKET")
