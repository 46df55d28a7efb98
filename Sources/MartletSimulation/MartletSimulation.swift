// MartletSimulation
