module github.com/datapunk/switchgear

go 1.26.0
