package devs3

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"net/http"
)

// owner is the canonical user ID of [Account].
var owner = func() string {
	sum := sha256.Sum256([]byte(Account))
	return hex.EncodeToString(sum[:])
}()

type accessControl struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccessControlPolicy"`
	OwnerID string   `xml:"Owner>ID"`
	Grants  []grant  `xml:"AccessControlList>Grant"`
}

type grant struct {
	Grantee    grantee
	Permission string
}

type grantee struct {
	XSI  string `xml:"xmlns:xsi,attr"`
	Type string `xml:"xsi:type,attr"`
	ID   string
}

// bucketACL answers GetBucketAcl: there are no ACLs, so the owner has full
// control and nobody else anything.
func (x *exchange) bucketACL() error {
	all := grantee{XSI: "http://www.w3.org/2001/XMLSchema-instance", Type: "CanonicalUser", ID: owner}
	x.w.xml(http.StatusOK, accessControl{OwnerID: owner, Grants: []grant{{all, "FULL_CONTROL"}}})
	return nil
}

// objectACL answers GetObjectAcl, likewise.
func (x *exchange) objectACL() error {
	if err := x.open(x.bucket, x.key, x.version, false); err != nil {
		return err
	}
	return x.bucketACL()
}

// refuseACL answers PutBucketAcl and PutObjectAcl.
func (x *exchange) refuseACL() error { return errNoACLs }
