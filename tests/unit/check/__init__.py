"""Tests of lab.check."""
