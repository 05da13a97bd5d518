"""OpenWrt's UCI, translated."""
