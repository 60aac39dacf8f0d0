module github.com/datapunk/switchgear/tools/mutants

go 1.26.0
