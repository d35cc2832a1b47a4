fw_unit_test(publisher window fw::publisher)
fw_unit_test(publisher kept fw::publisher)
fw_unit_test(publisher liveness fw::publisher)
