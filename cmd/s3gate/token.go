package main

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"s3gate/client"
)

func newToken() *cobra.Command {
	return group("token", "Mint, show, list and change tokens", newMint(), newShow(), newList(), newPatch(), newReissue())
}

func newMint() *cobra.Command {
	var r client.MintRequest
	var (
		key                  string
		uses                 int64
		response             client.Response
		upload               client.Upload
		notBefore, expiresAt string
		maxBytes, bandwidth  string
		labels               map[string]string
		inline, once         bool
		slack, passcodeFile  string
		prefix, selfRevoke   bool
		batch                string
		notify               client.Notify
	)
	cmd := &cobra.Command{
		Use:   "mint get|put BUCKET/KEY | --batch FILE",
		Short: "Mint a token and print its link",
		Long: `Mint a token and print its link. BUCKET is an alias of the gate; the rest, to the
last character, is the key. s3://BUCKET/KEY is understood too. With --prefix it is what
all keys begin with: those that can be downloaded, or those that uploads get.

With --batch each line of a file is a request in JSON, as POST /v1/tokens takes it.
All are minted, or none if one is wrong. With --idempotency-key the command may be
repeated: it prints the same links again.`,
		Example: `  s3gate token mint get docs/report.pdf --expires-in 7d
  s3gate token mint get docs/report.pdf --once --subject ada@example.com
  s3gate token mint put inbox/video.mp4 --max-bytes 2GiB --content-type 'video/*'
  s3gate token mint put inbox/incoming/ --prefix --max-uses 20
  s3gate token mint --batch invitations.jsonl --idempotency-key invitations-2030-01`,
		Args: cobra.ArbitraryArgs,
	}
	f := cmd.Flags()
	f.StringVar(&r.ExpiresIn, "expires-in", "", "how long it works, such as 90s, 1h or 30d (default 1h)")
	f.StringVar(&expiresAt, "expires-at", "", "until when it works, such as 2030-01-31T12:00:00Z")
	f.StringVar(&notBefore, "not-before", "", "from when it works")
	f.Int64Var(&uses, "max-uses", 0, "how often it works; 0 means without limit (default: without limit for get, 1 for put)")
	f.BoolVar(&once, "once", false, "the same as --max-uses 1")
	f.StringVar(&r.Subject, "subject", "", "for whom it is")
	f.StringToStringVar(&labels, "label", nil, "name=value, to find and revoke tokens by; may be repeated")
	f.StringSliceVar(&r.Clients, "client", nil, "a network from which it works, such as 192.0.2.0/24; may be repeated")
	f.StringVar(&bandwidth, "bandwidth", "", "how much a second its transfers get together, such as 2MiB")
	f.Int64Var(&r.RequestsPerSecond, "requests-per-second", 0, "how many requests a second one gate answers")
	f.Int64Var(&r.MaxConcurrent, "max-concurrent", 0, "how many transfers may run at a time, over all gates")
	f.BoolVar(&r.CutAtExpiry, "cut-at-expiry", false, "also end transfers that run when it expires")
	f.StringVar(&r.ResumeWindow, "resume-window", "", "how long a broken download of a limited token may be taken up again, such as 10m")
	f.StringVar(&slack, "resume-slack", "", "how much more than the file it may then yield (default 16MiB)")
	f.StringVar(&r.VersionID, "version-id", "", "the only version of the object to give out")
	f.StringVar(&r.IfMatch, "if-match", "", "the ETag that the object must have, with its quotes")
	f.StringVar(&passcodeFile, "passcode-file", "", "a file with the passcode that must be given with the link, - for stdin")
	f.StringVar(&r.Confirm, "confirm", "", "whether browsers show a page first: auto, always or never (default auto: for limited tokens)")
	f.StringVar(&r.SharedBy, "shared-by", "", "who shares it, as the pages say it")
	f.StringVar(&r.Message, "message", "", "a note for whoever opens the link in a browser")
	f.BoolVar(&r.Previews, "previews", false, "let listings show the images among the files (with --list and without a limit of uses)")
	f.BoolVar(&selfRevoke, "self-revoke", false, "let whoever has the link revoke it with DELETE (default: if it has one use)")
	f.BoolVar(&r.Canary, "canary", false, "make a link that opens nothing, and tell of everybody who tries it")
	f.BoolVar(&r.List, "list", false, "let whoever has the link list what is below BUCKET/PREFIX/")
	f.BoolVar(&prefix, "prefix", false, "take BUCKET/PREFIX for everything below it; uploads get keys that the gate makes")
	f.StringVar(&response.Filename, "filename", "", "the name to save under")
	f.BoolVar(&inline, "inline", false, "let browsers show the file instead of saving it")
	f.StringVar(&response.ContentType, "response-type", "", "the media type to answer with")
	f.StringVar(&maxBytes, "max-bytes", "", "the largest upload, such as 100MiB")
	f.StringSliceVar(&upload.ContentTypes, "content-type", nil, "media types that may be uploaded, such as image/*; may be repeated")
	f.BoolVar(&upload.Sniff, "sniff", false, "want the content of the upload to look like --content-type too")
	f.BoolVar(&upload.Overwrite, "overwrite", false, "let the upload replace an object that exists")
	f.StringVar(&upload.Checksum, "checksum", "", "the checksum that must come with the upload: md5, crc32, crc32c, crc64nvme, sha1, sha256 or any")
	f.StringToStringVar(&upload.Metadata, "metadata", nil, "name=value, kept with the object; may be repeated")
	f.StringSliceVar(&upload.ClientMetadata, "client-metadata", nil, "metadata that whoever uploads may set, * for all; may be repeated")
	f.StringVar(&upload.StorageClass, "storage-class", "", "the storage class of the object, such as STANDARD_IA")
	f.StringVar(&upload.KeyTemplate, "key-template", "", "how uploads below BUCKET/PREFIX are stored: the whole key, with {date}, {uuid} and {filename}; implies --prefix")
	f.BoolVar(&upload.RevealKey, "reveal-key", false, "tell the uploader that key")
	f.StringVar(&notify.Topic, "notify", "", "also send the link through this topic of the gate")
	f.StringVar(&notify.Subject, "notify-subject", "", "the subject of the mail that it then sends")
	f.StringVar(&notify.Message, "notify-message", "", "what it sends, with {url} for the link (default: the link)")
	f.StringVar(&key, "idempotency-key", "", "a name for this request: the same one again gets the same token")
	f.StringVar(&batch, "batch", "", "a file with a request in JSON on each line, - for stdin")
	choices(cmd, "confirm", "auto", "always", "never")
	choices(cmd, "checksum", "md5", "crc32", "crc32c", "crc64nvme", "sha1", "sha256", "any")
	cmd.ValidArgsFunction = firstArgument("get", "put")
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if batch != "" {
			return mintBatch(cmd, args, batch, key)
		}
		if err := exactly(2)(cmd, args); err != nil {
			return err
		}
		r.Operation = args[0]
		if notify != (client.Notify{}) {
			r.Notify = &notify
		}
		if r.Bucket, r.Key, err = splitTarget(args[1]); err != nil {
			return err
		}
		if prefix || upload.KeyTemplate != "" {
			r.Key, r.Prefix = "", r.Key
		}
		if f.Changed("resume-slack") {
			n, err := parseBytes(slack)
			if err != nil {
				return err
			}
			r.ResumeSlack = &n
		}
		if f.Changed("self-revoke") {
			r.SelfRevoke = &selfRevoke
		}
		if r.Passcode, err = readSecret(cmd, passcodeFile); err != nil {
			return err
		}
		if r.NotBefore, err = parseTime("not-before", notBefore); err != nil {
			return err
		}
		if r.ExpiresAt, err = parseTime("expires-at", expiresAt); err != nil {
			return err
		}
		if once {
			uses = 1
		}
		if once || f.Changed("max-uses") {
			r.MaxUses = &uses
		}
		if inline {
			response.Disposition = "inline"
		}
		if response != (client.Response{}) {
			r.Response = &response
		}
		if upload.MaxBytes, err = parseBytes(maxBytes); err != nil {
			return err
		}
		if r.Bandwidth, err = parseBytes(bandwidth); err != nil {
			return err
		}
		if !reflect.ValueOf(upload).IsZero() {
			r.Upload = &upload
		}
		r.Labels = labels
		return mint(cmd, r, key)
	}
	return cmd
}

// readSecret reads one line from a file, or from stdin for "-"; a secret on the
// command line would be seen by everybody on the machine.
func readSecret(cmd *cobra.Command, file string) (string, error) {
	var raw []byte
	var err error
	switch file {
	case "":
		return "", nil
	case "-":
		raw, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), 4<<10))
	default:
		raw, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fmt.Errorf("reading the passcode: %w", err)
	}
	text := strings.TrimRight(string(raw), "\r\n")
	if text == "" {
		return "", usagef("the passcode is empty")
	}
	return text, nil
}

func mint(cmd *cobra.Command, r client.MintRequest, key string) error {
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	token, err := c.Mint(cmd.Context(), r, client.IdempotencyKey(key))
	if err != nil {
		return err
	}
	return newPrinter(cmd).print(token, func(p *printer) {
		fmt.Fprintln(p.out, token.URL)
		uses := usesText(token.MaxUses)
		if token.Canary {
			uses = "a canary, which opens nothing"
		}
		p.say("%s  %s  until %s", token.ID, uses, token.ExpiresAt.Local().Format(time.DateTime))
		if n := token.Notified; n != nil && !*n {
			p.say("the link was not sent: %s", token.NotNotified)
		}
	})
}

func usesText(n int64) string {
	switch n {
	case 0:
		return "any number of uses"
	case 1:
		return "one use"
	}
	return strconv.FormatInt(n, 10) + " uses"
}

// splitTarget reads BUCKET/KEY or s3://BUCKET/KEY.
func splitTarget(s string) (bucket, key string, err error) {
	bucket, key, ok := strings.Cut(strings.TrimPrefix(s, "s3://"), "/")
	if !ok || bucket == "" || key == "" {
		return "", "", usagef("expected BUCKET/KEY, got %q", s)
	}
	return bucket, key, nil
}

func parseTime(flag, s string) (*time.Time, error) {
	if s == "" {
		return nil, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil, usagef("--%s must be a time such as 2030-01-31T12:00:00Z, got %q", flag, s)
	}
	return &t, nil
}

// timeFlag reads a flag that is a time; the zero time if it is not given.
func timeFlag(f *pflag.FlagSet, name string) (time.Time, error) {
	t, err := parseTime(name, f.Lookup(name).Value.String())
	if t == nil {
		return time.Time{}, err
	}
	return *t, err
}

// parseBytes reads 1048576, 1MiB or 1MB; "" is 0.
func parseBytes(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	units := []struct {
		suffix string
		factor int64
	}{
		{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
		{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
	}
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err == nil && n >= 0 && n <= (1<<62)/u.factor {
			return n * u.factor, nil
		}
		break
	}
	return 0, usagef("expected a size such as 500000, 100MiB or 2GB, got %q", s)
}

func newShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show TOKEN|URL|ID",
		Short: "Show what a token permits and what has become of it",
		Args:  exactly(1),
	}
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := tokenID(args[0])
		if err != nil {
			return err
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		s, err := c.Show(cmd.Context(), id)
		if err != nil {
			return err
		}
		return newPrinter(cmd).print(s, func(p *printer) { showStatus(p, s) })
	}
	return cmd
}

func showStatus(p *printer, s *client.Status) {
	t := p.table()
	defer t.Flush()
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	row("id", s.ID)
	row("state", s.State)
	row("covered by", s.CoveredBy)
	row("operation", s.Operation)
	row("object", s.Bucket+"/"+s.Key+s.Prefix)
	if s.MaxUses > 0 {
		row("uses", fmt.Sprintf("%d of %d, %d under way, %d left", s.Uses, s.MaxUses, s.InUse, max(0, s.MaxUses-s.Uses-s.InUse)))
		if s.Unreported > 0 {
			row("", fmt.Sprintf("%d without a receipt yet", s.Unreported))
		}
	} else {
		row("uses", "without limit")
	}
	if s.NotBefore != nil {
		row("not before", s.NotBefore.Local().Format(time.DateTime))
	}
	row("expires", s.ExpiresAt.Local().Format(time.DateTime))
	row("subject", s.Subject)
	row("clients", strings.Join(s.Clients, ", "))
	if s.Bandwidth > 0 {
		row("bandwidth", fmt.Sprintf("%d bytes a second", s.Bandwidth))
	}
	if s.RequestsPerSecond > 0 {
		row("rate", fmt.Sprintf("%d requests a second", s.RequestsPerSecond))
	}
	if s.MaxConcurrent > 0 {
		row("transfers", fmt.Sprintf("at most %d at a time", s.MaxConcurrent))
	}
	if s.ResumeWindow != "" {
		row("resume", fmt.Sprintf("within %s, %d bytes of slack", s.ResumeWindow, s.ResumeSlack))
	}
	row("version", s.VersionID)
	row("etag", s.IfMatch)
	row("confirm", s.Confirm)
	row("shared by", s.SharedBy)
	row("message", plain(s.Message))
	if s.Previews {
		row("previews", "of the images in listings")
	}
	if s.Passcode {
		row("passcode", "required")
	}
	for name, value := range s.Labels {
		row("label", name+"="+value)
	}
	row("minted", s.IssuedAt.Local().Format(time.DateTime)+" by "+s.IssuedBy)
	for _, o := range s.Open {
		row("open use", fmt.Sprintf("%d of %d bytes, %d left, until %s", o.Bytes, o.Size, o.Left, o.Until.Local().Format(time.DateTime)))
	}
	if s.Upload != nil {
		row("stored as", s.Upload.KeyTemplate)
	}
	for _, r := range s.Receipts {
		key := ""
		if s.Operation == "put" && s.Prefix != "" {
			key = r.Key
		}
		row("receipt", strings.TrimSpace(fmt.Sprintf("%s  %s  %d of %d bytes in %d requests  %s  %s",
			r.Ended.Local().Format(time.DateTime), r.Outcome, r.Bytes, r.Size, r.Requests, r.Client, key)))
	}
	if r := s.Revocation; r != nil {
		row("revoked", strings.TrimSpace(r.At.Local().Format(time.DateTime)+" by "+r.Author+" "+r.Reason))
	}
	row("reissued as", s.ReissuedAs)
}

func newList() *cobra.Command {
	var q client.ListQuery
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List tokens, the one that expires last first",
		Args:    exactly(0),
	}
	f := cmd.Flags()
	f.StringVar(&q.Subject, "subject", "", "only those for this subject")
	f.StringVar(&q.Issuer, "issuer", "", "only those minted with a JWT of this iss")
	f.StringVar(&q.IssuedBy, "issued-by", "", "only those minted with a JWT of this sub")
	f.StringToStringVar(&q.Labels, "label", nil, "only those with this label, name=value; may be repeated: with all of them")
	f.String("expires-from", "", "only those that expire then or later, such as 2030-01-31T00:00:00Z")
	f.String("expires-before", "", "only those that expire earlier than that")
	f.StringVar(&q.Bucket, "bucket", "", "only those of this bucket alias")
	f.StringVar(&q.Prefix, "prefix", "", "only those whose key begins so")
	f.StringVar(&q.State, "state", "", "only those that are active, pending, used, expired or revoked")
	choices(cmd, "state", "active", "pending", "used", "expired", "revoked")
	most := f.Int("limit", 1000, "how many at most; 0 means all")
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if q.ExpiresFrom, err = timeFlag(f, "expires-from"); err != nil {
			return err
		}
		if q.ExpiresBefore, err = timeFlag(f, "expires-before"); err != nil {
			return err
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		return list(cmd, c, q, *most)
	}
	return cmd
}

func list(cmd *cobra.Command, c *client.Client, q client.ListQuery, most int) error {
	p := newPrinter(cmd)
	t := p.rows()
	defer t.Flush()
	if !p.json {
		fmt.Fprintln(t, "ID\tSTATE\tOP\tOBJECT\tUSES\tEXPIRES\tSUBJECT")
	}
	for n := 0; ; {
		page, err := c.List(cmd.Context(), q)
		if err != nil {
			return err
		}
		for _, s := range page.Tokens {
			if n++; most > 0 && n > most {
				p.say("there are more; see --limit")
				return nil
			}
			err := p.print(s, func(*printer) {
				uses := "-"
				if s.MaxUses > 0 {
					uses = fmt.Sprintf("%d/%d", s.Uses, s.MaxUses)
				}
				row(t, s.ID, s.State, s.Operation, s.Bucket+"/"+s.Key+s.Prefix,
					uses, s.ExpiresAt.Local().Format(time.DateTime), s.Subject)
			})
			if err != nil {
				return err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}
