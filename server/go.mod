module github.com/datapunk/switchgear/server

go 1.26.0

replace (
	github.com/datapunk/switchgear => ../
	github.com/datapunk/switchgear/link => ../link
)
