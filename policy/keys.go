package policy

import "strings"

// A valueType is what the values of a condition key are.
type valueType int

const (
	textual valueType = iota // strings, ARNs among them
	numbers
	dates
	epoch // seconds since 1970: a number and a date
	booleans
	addresses
)

// conditionKeys are the condition keys S3 may find in a request, in lower case ("AWS global condition
// context keys", IAM User Guide; "Condition keys for Amazon S3", Service Authorization Reference). It is
// read only.
var conditionKeys = map[string]valueType{
	"aws:calledvia": textual, "aws:calledviafirst": textual, "aws:calledvialast": textual,
	"aws:currenttime": dates, "aws:epochtime": epoch, "aws:federatedprovider": textual,
	"aws:multifactorauthage": numbers, "aws:multifactorauthpresent": booleans,
	"aws:principalaccount": textual, "aws:principalarn": textual, "aws:principalisawsservice": booleans,
	"aws:principalorgid": textual, "aws:principalorgpaths": textual, "aws:principalservicename": textual,
	"aws:principalservicenameslist": textual, "aws:principaltype": textual, "aws:referer": textual,
	"aws:requestedregion": textual, "aws:resourceaccount": textual, "aws:resourceorgid": textual,
	"aws:resourceorgpaths": textual, "aws:securetransport": booleans, "aws:sourceaccount": textual,
	"aws:sourcearn": textual, "aws:sourceidentity": textual, "aws:sourceip": addresses,
	"aws:sourceorgid": textual, "aws:sourceorgpaths": textual, "aws:sourcevpc": textual,
	"aws:sourcevpcarn": textual, "aws:sourcevpce": textual, "aws:tagkeys": textual,
	"aws:tokenissuetime": dates, "aws:useragent": textual, "aws:userid": textual, "aws:username": textual,
	"aws:viaawsservice": booleans, "aws:vpceaccount": textual, "aws:vpceorgid": textual,
	"aws:vpceorgpaths": textual, "aws:vpcsourceip": addresses,
	"ec2:sourceinstancearn": textual,

	"s3:accessgrantsinstancearn": textual, "s3:accesspointnetworkorigin": textual, "s3:authtype": textual,
	"s3:dataaccesspointaccount": textual, "s3:dataaccesspointarn": textual, "s3:delimiter": textual,
	"s3:if-match": textual, "s3:if-none-match": textual, "s3:inventoryaccessibleoptionalfields": textual,
	"s3:isreplicationpauserequest": booleans, "s3:locationconstraint": textual, "s3:max-keys": numbers,
	"s3:object-lock-legal-hold": textual, "s3:object-lock-mode": textual,
	"s3:object-lock-remaining-retention-days": numbers, "s3:object-lock-retain-until-date": dates,
	"s3:objectcreationoperation": booleans, "s3:prefix": textual, "s3:requestobjecttagkeys": textual,
	"s3:resourceaccount": textual, "s3:signatureage": numbers, "s3:signatureversion": textual,
	"s3:tlsversion": numbers, "s3:versionid": textual, "s3:x-amz-acl": textual,
	"s3:x-amz-content-sha256": textual, "s3:x-amz-copy-source": textual,
	"s3:x-amz-grant-full-control": textual, "s3:x-amz-grant-read": textual,
	"s3:x-amz-grant-read-acp": textual, "s3:x-amz-grant-write": textual, "s3:x-amz-grant-write-acp": textual,
	"s3:x-amz-metadata-directive": textual, "s3:x-amz-object-ownership": textual,
	"s3:x-amz-server-side-encryption": textual, "s3:x-amz-server-side-encryption-aws-kms-key-id": textual,
	"s3:x-amz-server-side-encryption-customer-algorithm": textual, "s3:x-amz-storage-class": textual,
	"s3:x-amz-website-redirect-location": textual,
}

// tagKeys begin the condition keys that end with the key of a tag.
var tagKeys = []string{
	"aws:principaltag/", "aws:requesttag/", "aws:resourcetag/",
	"s3:buckettag/", "s3:existingobjecttag/", "s3:requestobjecttag/",
}

// KnownKey reports whether S3 knows a condition key, in any case. A condition on another one is legal
// here and compares with what is absent.
func KnownKey(key string) bool {
	_, known := keyType(key)
	return known
}

func keyType(key string) (t valueType, known bool) {
	key = strings.ToLower(key)
	if t, known = conditionKeys[key]; known {
		return t, true
	}
	for _, prefix := range tagKeys {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			return textual, rest != ""
		}
	}
	return textual, false
}
