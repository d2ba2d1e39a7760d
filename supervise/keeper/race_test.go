//go:build race

package keeper

const executesAnew = false
