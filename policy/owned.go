package policy

import (
	"errors"
	"fmt"
	"strings"
)

// SidPrefix begins the Sid of every statement s3gate owns.
const SidPrefix = "S3Gate"

// Owned reports whether a statement of that Sid is s3gate's to replace and remove: it begins with
// [SidPrefix] and goes on with a capital letter, as in "S3GateDenyPresigned". Other people's
// "S3GatewayEndpoint" and "S3Gatekeeper" are theirs.
func Owned(sid string) bool {
	rest, ok := strings.CutPrefix(sid, SidPrefix)
	return ok && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z'
}

// checkOwned refuses statements that Remove would not find again.
func checkOwned(ours []Statement) error {
	seen := map[string]bool{}
	for i, s := range ours {
		switch {
		case !Owned(s.Sid):
			return fmt.Errorf("%s: its Sid must begin with %s and a capital letter", place(i, s.Sid), SidPrefix)
		case seen[s.Sid]:
			return fmt.Errorf("%s: used by an earlier statement", place(i, s.Sid))
		}
		seen[s.Sid] = true
	}
	return nil
}

// IdentityPolicy renders statements as a policy for the identity that makes the requests: without
// Principal, which such policies cannot have. It serves stores that apply bucket policies to anonymous
// callers only, as MinIO does. A statement that names certain principals is an error.
func IdentityPolicy(statements []Statement) ([]byte, error) {
	list := make([]Statement, len(statements))
	for i, s := range statements {
		if s.NotPrincipal.set() || s.Principal.set() && !s.Principal.everyone() {
			return nil, fmt.Errorf("%s: applies to certain principals only", place(i, s.Sid))
		}
		s.Principal = Principals{}
		list[i] = s
	}
	if len(list) == 0 {
		return nil, errors.New("no statements")
	}
	return newDocument(list)
}
