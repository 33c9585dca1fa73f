package policy

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Principal is who makes a request. The zero value is an anonymous caller.
type Principal struct {
	// ARN names an IAM user, role or account root, or an assumed-role session by its STS ARN.
	ARN string

	// UserName is the friendly name of an IAM user; empty for all others (aws:username).
	UserName string

	// UserID is the unique identifier (aws:userid), such as AIDAEXAMPLE.
	UserID string

	// Account is the account's twelve digits; empty takes it from ARN.
	Account string

	// Service is the name of an AWS service that acts for itself, such as "logging.s3.amazonaws.com"; the
	// other fields are then empty.
	Service string
}

// Anonymous is what [Principal.String] and [ParsePrincipal] call a caller without credentials.
const Anonymous = "anonymous"

// ParsePrincipal reads who makes a request, as people write it: "anonymous", the ARN of an IAM user, role,
// account root or session, an account's twelve digits, which mean its root, or the name of a service. A
// user's name is taken from the ARN; unique identifiers cannot be known from one and stay empty.
func ParsePrincipal(s string) (Principal, error) {
	switch {
	case s == Anonymous:
		return Principal{}, nil
	case serviceName.MatchString(s):
		return Principal{Service: s}, nil
	case accountID.MatchString(s):
		return Principal{ARN: "arn:aws:iam::" + s + ":root", Account: s}, nil
	case !principalARN.MatchString(s) || strings.ContainsAny(s, "*?"):
		return Principal{}, fmt.Errorf("%q is neither %s nor an account, a service, or the ARN of a user, role or session", s, Anonymous)
	}
	p := Principal{ARN: s}
	p.Account = p.AccountID()
	if _, name, ok := strings.Cut(s, ":user/"); ok {
		p.UserName = name[strings.LastIndexByte(name, '/')+1:]
	}
	return p, nil
}

// String names the caller by its ARN, or as a service, or as "anonymous".
func (p Principal) String() string {
	return cmp.Or(p.ARN, p.Service, Anonymous)
}

// kind is what aws:PrincipalType holds ("IAM policy elements: Variables and tags", IAM User Guide); empty
// for a caller of which too little is known, and for services.
func (p Principal) kind() string {
	f := strings.SplitN(p.ARN, ":", 6)
	if len(f) < 6 {
		if p == (Principal{}) {
			return "Anonymous"
		}
		return ""
	}
	switch kind, _, _ := strings.Cut(f[5], "/"); kind {
	case "root":
		return "Account"
	case "user":
		return "User"
	case "role", "assumed-role":
		return "AssumedRole"
	case "federated-user":
		return "FederatedUser"
	}
	return ""
}

// accountKey is what aws:PrincipalAccount holds, which anonymous requests carry too.
func (p Principal) accountKey() string {
	if p == (Principal{}) {
		return Anonymous
	}
	return p.AccountID()
}

// isService is what aws:PrincipalIsAWSService holds: anonymous requests do not carry it.
func (p Principal) isService() string {
	if p == (Principal{}) {
		return ""
	}
	return strconv.FormatBool(p.Service != "")
}

// AccountID is the account's twelve digits; empty for an anonymous caller and for a service.
func (p Principal) AccountID() string {
	if f := strings.SplitN(p.ARN, ":", 6); p.Account == "" && len(f) == 6 {
		return f[4]
	}
	return p.Account
}

// arn is what aws:PrincipalArn holds: for a role session the ARN of the role it came from. STS leaves the
// role's path out of the session's ARN, so a caller that knows the path should give the role's ARN.
func (p Principal) arn() string {
	f := strings.SplitN(p.ARN, ":", 6)
	if len(f) < 6 || f[2] != "sts" {
		return p.ARN
	}
	session, ok := strings.CutPrefix(f[5], "assumed-role/")
	if !ok {
		return p.ARN
	}
	role, _, _ := strings.Cut(session, "/")
	return "arn:" + f[1] + ":iam::" + f[4] + ":role/" + role
}

func (p *Principals) set() bool {
	return p.Everyone || p.AWS != nil || p.Service != nil || p.Federated != nil || p.CanonicalUser != nil
}

func (p *Principals) everyone() bool { return p.Everyone || slices.Contains(p.AWS, "*") }

// include reports whether a Principal element names the caller: as itself, as the role behind its session
// or through its account. Federated providers and canonical users are names a [Request] cannot carry, so
// they include nobody, which [Document.Warnings] says. ("AWS JSON policy elements: Principal", IAM User
// Guide.)
func (p *Principals) include(who Principal) bool {
	if who.Service != "" {
		return p.everyone() || slices.Contains(p.Service, who.Service)
	}
	return p.everyone() || p.listsAccount(who.AccountID()) || p.lists(who.ARN) || p.lists(who.arn())
}

// exempt reports whether a NotPrincipal element leaves the caller out. AWS checks the account, then the
// role, then the session, and denies when one of them is not listed, so all must be ("AWS JSON policy
// elements: NotPrincipal", IAM User Guide).
func (p *Principals) exempt(who Principal) bool {
	if p.everyone() || who.Service != "" && slices.Contains(p.Service, who.Service) {
		return true
	}
	if !p.listsAccount(who.AccountID()) {
		return false
	}
	return strings.HasSuffix(who.ARN, ":root") || p.lists(who.ARN) && p.lists(who.arn())
}

// An anonymous caller has neither ARN nor account and is never listed.
func (p *Principals) lists(arn string) bool { return arn != "" && slices.Contains(p.AWS, arn) }

func (p *Principals) listsAccount(id string) bool {
	return id != "" && slices.ContainsFunc(p.AWS, func(s string) bool {
		f := strings.SplitN(s, ":", 6)
		return s == id || len(f) == 6 && f[4] == id && f[5] == "root"
	})
}

// deleted returns the principals that are unique identifiers: what S3 shows in place of a user or role that
// has been deleted since the policy was stored.
func (p *Principals) deleted() []string {
	return slices.DeleteFunc(slices.Clone(p.AWS), func(s string) bool { return !uniqueID.MatchString(s) })
}

var (
	accountID    = regexp.MustCompile(`^\d{12}$`)
	principalARN = regexp.MustCompile(`^arn:aws[a-z-]*:(iam::\d{12}:(root|user/.+|role/.+)|sts::\d{12}:(assumed-role/[^/]+/.+|federated-user/.+))$`)
	// The identity that CloudFront reads with under its older scheme is of no account.
	originAccess  = regexp.MustCompile(`^arn:aws[a-z-]*:iam::cloudfront:user/CloudFront Origin Access Identity [A-Z0-9]+$`)
	serviceName   = regexp.MustCompile(`^[a-z0-9.-]+\.amazonaws\.com(\.cn)?$`)
	canonicalUser = regexp.MustCompile(`^[0-9a-f]{64}$`)
	uniqueID      = regexp.MustCompile(`^A(IDA|ROA)[A-Z0-9]+$`)
)

// add files the principals of one type, refusing the malformed.
func (p *Principals) add(kind string, values Values) error {
	switch kind {
	case "AWS":
		p.AWS = values
		return check(values, func(s string) bool {
			return s == "*" || accountID.MatchString(s) || uniqueID.MatchString(s) || originAccess.MatchString(s) ||
				principalARN.MatchString(s) && !strings.ContainsAny(s, "*?")
		})
	case "Service":
		p.Service = values
		return check(values, serviceName.MatchString)
	case "Federated":
		p.Federated = values
		return check(values, func(s string) bool { return s != "" && !strings.ContainsAny(s, "*?") })
	case "CanonicalUser":
		p.CanonicalUser = values
		return check(values, canonicalUser.MatchString)
	}
	return errors.New("unknown type of principal")
}

func check(values Values, valid func(string) bool) error {
	for _, s := range values {
		switch {
		case valid(s):
		case len(s) > 1 && strings.ContainsAny(s, "*?"):
			return fmt.Errorf("%q: a principal cannot hold a wildcard", s)
		default:
			return fmt.Errorf("%q is no valid principal", s)
		}
	}
	return nil
}
