package wire

// Fault says what is wrong with a message, or with a value that was to become
// one. It is an error.
type Fault uint8

// The faults.
const (
	okay          Fault = iota
	BadOrder            // neither byte order
	BadVersion          // another protocol
	BadKind             // type 0
	BadSerial           // serial number 0
	TooLong             // more than the protocol allows
	CutShort            // a length points behind the end
	BadPadding          // bytes between values are not 0
	BadBool             // neither 0 nor 1
	BadTerminator       // a string does not end in NUL
	BadSignature        // no signature
	BadVariant          // a variant that does not hold one complete type
	TooDeep             // containers in containers, more than 64
	ArrayTooLong        // an array of more than 64 MiB
	ArrayOverrun        // the last element goes on behind the array's end
	BadPath             // no object path
	BadName             // no name of an interface, member or error
	BadField            // a field of the header is 0 or has another type
	FieldTwice          // a field of the header comes again
	FieldMissing        // the message's type demands a field
	BodyLeft            // the body is longer than the signature says
	FDMissing           // a descriptor that the header does not count
	BadText             // text that is no UTF-8 or holds a NUL byte
	BadValue            // a value of another type than the signature says
	numFaults     = int(BadValue) + 1
)

func (f Fault) Error() string {
	texts := [numFaults]string{
		BadOrder:      "it begins with no byte order",
		BadVersion:    "its protocol version is not 1",
		BadKind:       "its type is 0",
		BadSerial:     "its serial number is 0",
		TooLong:       "it is longer than 128 MiB",
		CutShort:      "it ends before its last value",
		BadPadding:    "the padding before a value is not zero",
		BadBool:       "a boolean is neither 0 nor 1",
		BadTerminator: "a string does not end in a NUL byte",
		BadSignature:  "a signature is not valid",
		BadVariant:    "a variant does not hold one complete type",
		TooDeep:       "more than 64 containers are in each other",
		ArrayTooLong:  "an array is longer than 64 MiB",
		ArrayOverrun:  "an array ends amid an element",
		BadPath:       "an object path is not valid",
		BadName:       "a name is not valid",
		BadField:      "a field of the header has another type, or the number 0",
		FieldTwice:    "a field of the header comes twice",
		FieldMissing:  "a field of the header is missing",
		BodyLeft:      "its body is longer than its signature says",
		FDMissing:     "it speaks of a file descriptor that it does not count",
		BadText:       "a string is not UTF-8, or holds a NUL byte",
		BadValue:      "a value is not of the type that the signature says",
	}
	if int(f) < len(texts) && texts[f] != "" {
		return texts[f]
	}
	return "nothing is wrong"
}

// err is the fault as an error; nil when there is none.
func (f Fault) err() error {
	if f == okay {
		return nil
	}
	return f
}
