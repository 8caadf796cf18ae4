// An LLVM pass plugin for rustc: signed division by means of unsigned division. sBPF v3 has no
// signed division, and LLVM's BPF backend rejects it instead of calling a library function.
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/PassManager.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Plugins/PassPlugin.h"

using namespace llvm;

namespace {
struct SignedDivision : PassInfoMixin<SignedDivision> {
  static bool isRequired() { return true; }

  PreservedAnalyses run(Function &F, FunctionAnalysisManager &) {
    // Wider integers become library calls anyway.
    SmallVector<BinaryOperator *, 8> Found;
    for (Instruction &I : instructions(F))
      if (I.getOpcode() == Instruction::SDiv || I.getOpcode() == Instruction::SRem)
        if (auto *Ty = dyn_cast<IntegerType>(I.getType()); Ty && Ty->getBitWidth() <= 64)
          Found.push_back(cast<BinaryOperator>(&I));
    for (BinaryOperator *I : Found) {
      IRBuilder<> B(I);
      unsigned Bits = I->getType()->getIntegerBitWidth();
      Value *L = I->getOperand(0), *R = I->getOperand(1);
      // |x| = (x ^ s) - s with s = x >> (bits - 1). MIN / -1 is undefined either way: Rust checks
      // for it beforehand.
      Value *SL = B.CreateAShr(L, Bits - 1), *SR = B.CreateAShr(R, Bits - 1);
      Value *UL = B.CreateSub(B.CreateXor(L, SL), SL), *UR = B.CreateSub(B.CreateXor(R, SR), SR);
      bool Div = I->getOpcode() == Instruction::SDiv;
      Value *U = Div ? B.CreateUDiv(UL, UR) : B.CreateURem(UL, UR);
      // a quotient is negative when the signs differ, a remainder when the dividend is
      Value *S = Div ? B.CreateXor(SL, SR) : SL;
      I->replaceAllUsesWith(B.CreateSub(B.CreateXor(U, S), S));
      I->eraseFromParent();
    }
    return Found.empty() ? PreservedAnalyses::all() : PreservedAnalyses::none();
  }
};
} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo llvmGetPassPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, "sbpf", "1", [](PassBuilder &PB) {
            PB.registerPipelineParsingCallback(
                [](StringRef Name, FunctionPassManager &FPM, ArrayRef<PassBuilder::PipelineElement>) {
                  if (Name != "sbpf-signed-division")
                    return false;
                  FPM.addPass(SignedDivision());
                  return true;
                });
          }};
}
