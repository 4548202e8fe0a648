"""Arrays in, arrays out: audio, images, spectrograms. Nothing here touches a disk, a network or a device."""
